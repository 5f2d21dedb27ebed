/* Names of topics, streams and subjects, as target.c makes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../plugin/cdc_protocol.h"
#include "target.h"

static const TargetRules any = {0};

static bool
is_lower(unsigned char byte)
{
	return byte >= 'a' && byte <= 'z';
}

static void
expect(const char *template, const TargetRules *rules, const Relation *relation, uint8_t op,
	   const char *name)
{
	TargetNames *names;
	Frame frame = {.relation = relation, .op = op};
	Target *target;
	CdcError err;

	assert_int_equal(target_names_create(&names, template, "the template", "shop", rules, &err),
					 CDC_OK);
	for (int again = 0; again < 2; again++)
	{
		assert_int_equal(target_find(names, &frame, &target, &err), CDC_OK);
		assert_string_equal(target->name, name);
		assert_int_equal(target->length, strlen(name));
	}
	target_names_free(names);
}

static void
test_names(void **state)
{
	Relation orders = {.serial = 1, .schema = "public", .table = "orders", .target = ""};
	Relation odd = {.serial = 2, .schema = "{table}", .table = "a b", .target = ""};
	Relation ruled = {.serial = 3, .schema = "public", .table = "t", .target = "x.{table}.{op}"};
	TargetRules lower = {.allowed = is_lower};

	(void) state;
	expect("cdc.{schema}.{table}", &any, &orders, CDC_OP_INSERT, "cdc.public.orders");
	expect("{source}-{op}", &any, &orders, CDC_OP_DELETE, "shop-delete");
	expect("{{{table}}", &any, &orders, CDC_OP_INSERT, "{orders}");
	expect("{schema}.{table}", &any, &odd, CDC_OP_INSERT, "{table}.a b");
	expect("{schema}.{table}", &lower, &odd, CDC_OP_INSERT, "_table_.a_b");
	expect("{schema}", &any, &ruled, CDC_OP_UPDATE, "x.t.update");
	expect("{schema}.{table}", &any, NULL, CDC_OP_MESSAGE, "cdc.messages");
	expect("{schema}.{table}", &any, NULL, CDC_OP_COMMIT, "cdc.transactions");
}

static void
test_bad_templates(void **state)
{
	static const char *const bad[] = {"", "{", "{tabel}", "a{schema", "{}"};
	Relation relation = {.serial = 1, .schema = "s", .table = "t", .target = "{what}"};
	Frame frame = {.relation = &relation, .op = CDC_OP_INSERT};
	TargetNames *names;
	Target *target;
	CdcError err;

	(void) state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		assert_int_equal(target_names_create(&names, bad[i], "the topic", "s", &any, &err),
						 CDC_USAGE);
		assert_non_null(strstr(err.message, "the topic"));
		assert_null(names);
	}
	assert_int_equal(target_names_create(&names, "a", "the topic", "s", &any, &err), CDC_OK);
	assert_int_equal(target_find(names, &frame, &target, &err), CDC_STOP);
	assert_non_null(strstr(err.message, "relation s.t"));
	assert_non_null(strstr(err.hint, "cdc.set_target"));
	target_names_free(names);
}

static int freed;

static void
free_data(void *data)
{
	freed++;
	free(data);
}

/* However many relations come by, names are bounded, and what sinks keep with them is freed. */
static void
test_bounded(void **state)
{
	static const TargetRules rules = {.free_data = free_data};
	Relation relation = {.schema = "s", .target = ""};
	Frame frame = {.relation = &relation, .op = CDC_OP_INSERT};
	TargetNames *names;
	char table[32];
	CdcError err;

	(void) state;
	relation.table = table;
	assert_int_equal(target_names_create(&names, "{table}", "t", "s", &rules, &err), CDC_OK);
	for (int i = 1; i <= 10000; i++)
	{
		Target *target;

		relation.serial = (uint64_t) i;
		snprintf(table, sizeof(table), "t%d", i);
		assert_int_equal(target_find(names, &frame, &target, &err), CDC_OK);
		assert_string_equal(target->name, table);
		assert_null(target->data);
		target->data = malloc(1);
	}
	assert_in_range(freed, 5000, 9999);
	target_names_free(names);
	assert_int_equal(freed, 10000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_bad_templates),
		cmocka_unit_test(test_bounded),
	};

	return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
