/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making volumes: qemu-img create, and blockdev-create where the schema has it. */
#include "memx-compat.h"
#include "qapi/error.h"
#include "qemu/option.h"
#include "memx.h"

#ifdef CONFIG_MEMX	/* the rebuilt QEMU: its schema has the driver's options */
#include "qapi/qapi-visit-block-core.h"
#include "qapi/qobject-output-visitor.h"
#endif

static int memx_create(const MemxOptions *o, uint64_t size, Error **errp)
{
	struct memx *client;
	char *err = NULL;
	int ret;

	if (size == 0) {
		error_setg(errp, "memx: volume '%s' with size 0; a volume has at least %u bytes",
			   o->volume, MX_BLOCK);
		return -EINVAL;
	}
	client = memx_client_new(o, errp);
	if (!client)
		return -EIO;
	ret = memx_create_wait(client, o->volume, ROUND_UP(size, MX_BLOCK), &err);
	if (ret < 0)
		error_setg(errp, "memx: %s", err);
	free(err);
	memx_free(client);
	return ret;
}

int coroutine_fn memx_co_create_opts(BlockDriver *drv, const char *filename,
				     QemuOpts *opts, Error **errp)
{
	g_autoptr(QDict) options = qdict_new();
	g_autoptr(MemxOptions) o = NULL;
	/* An image format that makes its file gives no size, and lets it grow. */
	uint64_t size = qemu_opt_get_size_del(opts, BLOCK_OPT_SIZE, MX_BLOCK);
	Error *err = NULL;

	memx_parse_filename(filename, options, &err);
	if (err) {
		error_propagate(errp, err);
		return -EINVAL;
	}
	o = memx_options_new(options, errp);
	if (!o)
		return -EINVAL;
	return memx_create(o, size, errp);
}

#ifdef CONFIG_MEMX
/* blockdev-create, in a QEMU whose schema knows the driver. */
int coroutine_fn memx_co_create(BlockdevCreateOptions *options, Error **errp)
{
	BlockdevCreateOptionsMemx *create = &options->u.memx;
	BlockdevOptionsMemx *location = create->location;
	g_autoptr(MemxOptions) o = NULL;
	QObject *obj = NULL;
	Visitor *v;

	v = qobject_output_visitor_new(&obj);
	visit_type_BlockdevOptionsMemx(v, NULL, &location, &error_abort);
	visit_complete(v, &obj);
	visit_free(v);
	qdict_flatten(qobject_to(QDict, obj));
	o = memx_options_new(qobject_to(QDict, obj), errp);
	qobject_unref(obj);
	if (!o)
		return -EINVAL;
	return memx_create(o, create->size, errp);
}
#endif

QemuOptsList memx_create_opts = {
	.name = "memx-create-opts",
	.head = QTAILQ_HEAD_INITIALIZER(memx_create_opts.head),
	.desc = {
		{
			.name = BLOCK_OPT_SIZE,
			.type = QEMU_OPT_SIZE,
			.help = "Virtual disk size",
		},
		{ /* end of list */ }
	},
};
