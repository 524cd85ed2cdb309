// SPDX-License-Identifier: GPL-2.0-or-later
/* The table of volumes to attach at boot. */
#include <string.h>
#include "tests/unit/unit.h"
#include "tools/memxctl_table.h"

static struct table_entry *good(const char *line)
{
	struct table_entry *e = NULL;
	char *err = NULL;

	if (!table_line(line, &e, &err))
		fail_msg("\"%s\": %s", line, err);
	assert_null(err);
	return e;
}

static void bad(const char *line, const char *words)
{
	struct table_entry *e = NULL;
	char *err = NULL;

	assert_false(table_line(line, &e, &err));
	assert_null(e);
	assert_non_null(err);
	if (!strstr(err, words))
		fail_msg("\"%s\": \"%s\" does not say \"%s\"", line, err, words);
	g_free(err);
}

static void table__nothing(void **state)
{
	assert_null(good(""));
	assert_null(good(" \t "));
	assert_null(good("# vm1 swap"));
	assert_null(good("  #"));
}

static void table__name_alone(void **state)
{
	struct table_entry *e = good("  a/b.c:1+2@x-y  ");

	assert_string_equal(e->name, "a/b.c:1+2@x-y");
	assert_int_equal(e->servers->len, 0);
	assert_null(e->interface);
	assert_null(e->key_file);
	assert_false(e->swap || e->read_only || e->noauto);
	assert_int_equal(e->priority, -1);
	table_entry_free(e);
}

static void table__every_option(void **state)
{
	struct table_entry *e = good("v\tserver=10.0.0.1,server=[fd00::1]:7,interface=raw:eth1,"
				     "key-file=/etc/memx/k=1,fail-after=2.5,timeout=60,queues=3,,noauto,"
				     "swap=7");

	assert_int_equal(e->servers->len, 2);
	assert_string_equal(e->servers->pdata[0], "10.0.0.1");
	assert_string_equal(e->servers->pdata[1], "[fd00::1]:7");
	assert_string_equal(e->interface, "raw:eth1");
	assert_string_equal(e->key_file, "/etc/memx/k=1");
	assert_true(e->fail_after == 2.5 && e->timeout == 60);
	assert_int_equal(e->queues, 3);
	assert_true(e->noauto && e->swap);
	assert_int_equal(e->priority, 7);
	table_entry_free(e);
	e = good("v swap");
	assert_true(e->swap);
	assert_int_equal(e->priority, -1);
	table_entry_free(e);
	e = good("v read-only");
	assert_true(e->read_only);
	table_entry_free(e);
}

static void table__errors(void **state)
{
	bad(".v swap", "is not a volume's name");
	bad("v swap, read-only", "without blanks");
	bad("v swap,read-only", "cannot be read-only");
	bad("v swop", "no option \"swop=\"");
	bad("v servers=1.2.3.4", "no option \"servers=1.2.3.4\"");
	bad("v server=", "no option \"server=\"");
	bad("v key-file=", "has no value");
	bad("v key-file=/a,key-file=/b", "stands twice");
	bad("v fail-after=soon", "expected a number from 0");
	bad("v fail-after=-1", "expected a number from 0");
	bad("v fail-after=nan", "expected a number from 0");
	bad("v timeout=3601", "0 to 3600");
	bad("v queues=65", "0 to 64");
	bad("v queues=1.5", "whole number");
	bad("v swap=x", "expected a number");
}

static void table__whole_text(void **state)
{
	GPtrArray *errors, *all = table_parse("# two\nv1 swap\n\nv2\tnoauto", &errors);

	assert_int_equal(errors->len, 0);
	assert_int_equal(all->len, 2);
	assert_string_equal(((struct table_entry *)all->pdata[1])->name, "v2");
	g_ptr_array_unref(all);
	g_ptr_array_unref(errors);
}

static void table__lines_of_windows(void **state)
{
	GPtrArray *errors, *all = table_parse("v1 noauto\r\n\r\nv2\r\n", &errors);

	assert_int_equal(errors->len, 0);
	assert_int_equal(all->len, 2);
	assert_true(((struct table_entry *)all->pdata[0])->noauto);
	assert_string_equal(((struct table_entry *)all->pdata[1])->name, "v2");
	g_ptr_array_unref(all);
	g_ptr_array_unref(errors);
}

/* The others of a table with wrong lines are of use. */
static void table__wrong_lines(void **state)
{
	GPtrArray *errors, *all = table_parse("v1\n  v2 x\n.v3\nv4 swap\nv1 noauto", &errors);
	const struct table_error *x;

	assert_int_equal(all->len, 2);
	assert_string_equal(((struct table_entry *)all->pdata[0])->name, "v1");
	assert_false(((struct table_entry *)all->pdata[0])->noauto);
	assert_string_equal(((struct table_entry *)all->pdata[1])->name, "v4");
	assert_int_equal(errors->len, 3);
	x = errors->pdata[0];
	assert_int_equal(x->line, 2);
	assert_string_equal(x->name, "v2");
	assert_non_null(strstr(x->what, "no option \"x=\""));
	x = errors->pdata[2];
	assert_int_equal(x->line, 5);
	assert_string_equal(x->name, "v1");
	assert_string_equal(x->what, "volume \"v1\" stands there twice");
	g_ptr_array_unref(all);
	g_ptr_array_unref(errors);
}

static void table__milliseconds(void **state)
{
	assert_int_equal(table_ms(0), 0);
	assert_int_equal(table_ms(0.0005), 1);
	assert_int_equal(table_ms(0.0001), 1);
	assert_int_equal(table_ms(2.3), 2300);
	assert_int_equal(table_ms(1e6), 1000000000);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table__nothing), cmocka_unit_test(table__name_alone),
		cmocka_unit_test(table__every_option), cmocka_unit_test(table__errors),
		cmocka_unit_test(table__whole_text), cmocka_unit_test(table__lines_of_windows),
		cmocka_unit_test(table__wrong_lines), cmocka_unit_test(table__milliseconds),
	};

	return unit_main(argc, argv, tests);
}
