/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QEMU's build lists the targets' macros here; a block driver has no target. */
