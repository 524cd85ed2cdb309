/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every unit test's main ends with; cmocka and what it needs. */
#ifndef MEMX_TEST_UNIT_H
#define MEMX_TEST_UNIT_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

/* Runs the tests of an array of struct CMUnitTest, or those that match the first
 * argument (a name, with * and ?); writes TAP. */
#define unit_main(argc, argv, tests) \
	((argc) > 1 ? cmocka_set_test_filter((argv)[1]) : (void)0, \
	 cmocka_set_message_output(CM_OUTPUT_TAP), \
	 cmocka_run_group_tests(tests, NULL, NULL))

#endif
