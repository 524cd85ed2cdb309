// SPDX-License-Identifier: GPL-2.0-or-later
/* memx-core.ko: what the other modules use of the core. */
#include <linux/module.h>
#include "core/client_int.h"
#include "core/crc32c.h"
#include "core/desc.h"
#include "core/server.h"
#include "net/linux/aes.h"
#include "net/linux/carrier.h"

EXPORT_SYMBOL_GPL(mx_crc32c);
EXPORT_SYMBOL_GPL(mx_crc32c_blocks);
EXPORT_SYMBOL_GPL(mx_status_str);

EXPORT_SYMBOL_GPL(mx_ep_add_seed);
EXPORT_SYMBOL_GPL(mx_ep_stats);

EXPORT_SYMBOL_GPL(mx_server_new);
EXPORT_SYMBOL_GPL(mx_server_free);
EXPORT_SYMBOL_GPL(mx_server_ep);
EXPORT_SYMBOL_GPL(mx_server_store);
EXPORT_SYMBOL_GPL(mx_server_only_copies);
EXPORT_SYMBOL_GPL(mx_server_leave);
EXPORT_SYMBOL_GPL(mx_server_stats);
EXPORT_SYMBOL_GPL(mx_server_set_extra);
EXPORT_SYMBOL_GPL(mx_server_set_ceiling);
EXPORT_SYMBOL_GPL(mx_server_set_load);
EXPORT_SYMBOL_GPL(mx_store_stats);

EXPORT_SYMBOL_GPL(mx_client_new);
EXPORT_SYMBOL_GPL(mx_client_free);
EXPORT_SYMBOL_GPL(mx_client_ep);
EXPORT_SYMBOL_GPL(mx_vol_open);
EXPORT_SYMBOL_GPL(mx_vol_close);
EXPORT_SYMBOL_GPL(mx_vol_free);
EXPORT_SYMBOL_GPL(mx_vol_error);
EXPORT_SYMBOL_GPL(mx_vol_size);
EXPORT_SYMBOL_GPL(mx_vol_submit);
EXPORT_SYMBOL_GPL(mx_vol_abort);
EXPORT_SYMBOL_GPL(mx_vol_stats);
EXPORT_SYMBOL_GPL(mx_vol_desc);
EXPORT_SYMBOL_GPL(mx_vol_resize);
EXPORT_SYMBOL_GPL(mx_resize_disown);
EXPORT_SYMBOL_GPL(mx_name_valid);

static int __init core_init(void)
{
	int rc = mxk_node_init();

	if (rc)
		return rc;
	mxk_aes_init();
	mxk_raw_init();
	return 0;
}

static void __exit core_exit(void)
{
	mxk_raw_exit();
	mxk_aes_exit();
	mxk_node_exit();
}

module_init(core_init);
module_exit(core_exit);
MODULE_SOFTDEP("pre: aesni-intel");
MODULE_DESCRIPTION("MemX: protocol core and carriers");
MODULE_LICENSE("GPL");
