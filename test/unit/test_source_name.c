/*
 * test_source_name.c
 *		What records call the source: option, pipeline, database, in this order.
 */
#include "script_libpq.h"

#include "source_name.h"

static CdcError err;
static char name[256];

static CdcStatus
read_name(PluginOption *plugin_options, int count, const ScriptResult *results)
{
	CdcOptions options = {.plugin_options = plugin_options, .num_plugin_options = count};

	script.next = results;
	return source_name_read(SCRIPT_CONN, &options, "shop", name, sizeof(name), &err);
}

static void
option_comes_first(void **state)
{
	PluginOption given[] = {{"pipeline", "p"}, {"source", "given"}};

	(void) state;
	assert_int_equal(read_name(given, 2, NULL), CDC_OK); /* and nothing is asked */
	assert_string_equal(name, "given");
	assert_int_equal(read_name(given, 0, NULL), CDC_OK);
	assert_string_equal(name, "shop");
}

static void
pipeline_comes_next(void **state)
{
	static const ScriptResult none[] = {
		{.command = "to_regclass", .status = PGRES_TUPLES_OK, .row = {"f"}, .num_rows = 1}};
	static const ScriptResult unnamed[] = {
		{.command = "to_regclass", .status = PGRES_TUPLES_OK, .row = {"t"}, .num_rows = 1},
		{.command = "pipeline = 'p'", .status = PGRES_TUPLES_OK}};
	static const ScriptResult named[] = {
		{.command = "to_regclass", .status = PGRES_TUPLES_OK, .row = {"t"}, .num_rows = 1},
		{.command = "cdc.pipelines", .status = PGRES_TUPLES_OK, .row = {"main"}, .num_rows = 1}};
	static const ScriptResult failing[] = {{.command = "to_regclass",
											.status = PGRES_FATAL_ERROR,
											.sqlstate = "57P01",
											.message = "terminating"}};
	PluginOption given[] = {{"pipeline", "p"}};

	(void) state;
	assert_int_equal(read_name(given, 1, none), CDC_OK);
	assert_string_equal(name, "shop");
	assert_int_equal(read_name(given, 1, unnamed), CDC_OK);
	assert_string_equal(name, "shop");
	assert_int_equal(read_name(given, 1, named), CDC_OK);
	assert_string_equal(name, "main");
	assert_int_equal(read_name(given, 1, failing), CDC_RETRY);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(option_comes_first),
		cmocka_unit_test(pipeline_comes_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
