/*
 * test_http.c
 *		The http sink's pure parts: URIs, batches and their bodies, answers, signatures.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifdef HAVE_HTTP

#include <curl/curl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <unistd.h>
#include <zlib.h>

#include "http/http_answer.h"
#include "http/http_batch.h"
#include "http/http_body.h"
#include "http/http_headers.h"
#include "http/http_params.h"

static CdcError err;

static void
uris_are_taken_apart(void **state)
{
	HttpParams params = {0};

	(void) state;
	assert_int_equal(
		http_params_parse(&params,
						  "https://me:pa%40ss@example.com:8443/a/{table}?x=%31&cdc.batch=array&y&"
						  "cdc.batch-bytes=2KiB&cdc.secret-file=/a%20b&z=",
						  &err),
		CDC_OK);
	assert_string_equal(params.origin, "https://example.com:8443");
	assert_string_equal(params.path, "/a/{table}");
	assert_string_equal(params.query, "?x=%31&y&z=");
	assert_string_equal(params.user, "me");
	assert_string_equal(params.password, "pa@ss");
	assert_string_equal(params.secret_file, "/a b");
	assert_int_equal(params.shape, HTTP_ARRAY);
	assert_int_equal(params.batch_bytes, 2048);
	http_params_free(&params);
}

static void
what_is_left_out_has_defaults(void **state)
{
	HttpParams params = {0};

	(void) state;
	assert_int_equal(http_params_parse(&params, "http://[::1]", &err), CDC_OK);
	assert_string_equal(params.origin, "http://[::1]");
	assert_string_equal(params.path, "/");
	assert_string_equal(params.query, "");
	assert_null(params.user);
	assert_int_equal(params.shape, HTTP_LINES);
	assert_int_equal(params.batch_records, 10000);
	assert_int_equal(params.batch_bytes, 1 << 20);
	http_params_free(&params);
}

/* Ours alone leave no query; a name of ours may be the endpoint's if it is written so. */
static void
queries_are_the_endpoints(void **state)
{
	static const struct
	{
		const char *given;
		const char *sent;
	} cases[] = {
		{"?cdc.batch=lines", ""},
		{"?", ""},
		{"?%62atch=1", "?%62atch=1"},
		{"?key=1&cdc.compress=gzip", "?key=1"},
		{"?cdcx=1&batches=2", "?cdcx=1&batches=2"},
		{"?a=1&&b=2", "?a=1&&b=2"},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		HttpParams params = {0};
		char uri[100];

		snprintf(uri, sizeof(uri), "http://h/%s", cases[i].given);
		assert_int_equal(http_params_parse(&params, uri, &err), CDC_OK);
		assert_string_equal(params.query, cases[i].sent);
		http_params_free(&params);
	}
}

static void
what_is_wrong_is_refused(void **state)
{
	static const char *const wrong[] = {
		"http://",
		"http:///path",
		"http://h:99999/",
		"http://h/ x",
		"http://us%0Aer@h/",
		"http://user:pass%00word@h/",
		"http://h/?cdc.nosuch=1",
		"http://h/?cdc.=1",
		"http://h/?cdc.batch",
		"http://h/?CDC.batch=array",
		"http://h/?cdc-batch=array",
		"http://h/?cdc_batch",
		"http://h/?batch-bytes=1MiB",
		"http://h/?cdc.batch-bytes=65MiB",
		"http://h/?cdc.batch-records=0",
		"http://h/?cdc.batch-records=100001",
		"http://h/?cdc.batch-records=-1",
		"http://h/?cdc.batch-records=1x",
		"http://h/?cdc.timeout=2h",
		"http://h/?cdc.headers-file=",
		"http://h/?cdc.secret-file=a&cdc.secret-env=b",
		"http://h/?cdc.cert=a",
		"https://h/?cdc.key=a",
		"http://h/#f",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
	{
		HttpParams params = {0};

		memset(&err, 0, sizeof(err));
		if (http_params_parse(&params, wrong[i], &err) != CDC_USAGE || err.message[0] == '\0')
			fail_msg("%s is taken", wrong[i]);
		http_params_free(&params);
	}
}

static void
add(HttpBatch *batch, uint64_t seq, const char *payload)
{
	RecordId id = {0x16E2A10, seq, 0};
	Position after = {.timeline = 1, .id = id};

	assert_true(
		http_batch_add(batch, "http://h/", payload, (uint32_t) strlen(payload), &id, &after));
}

static void
check_body(HttpBatch *batch, uint32_t from, uint32_t count, const char *expected)
{
	size_t length;
	const char *body = http_batch_body(batch, from, count, &length);

	assert_int_equal(length, strlen(expected));
	assert_memory_equal(body, expected, length);
}

static void
bodies_are_of_any_part(void **state)
{
	HttpBatch lines = {0};
	HttpBatch array = {.shape = HTTP_ARRAY};

	(void) state;
	for (int round = 0; round < 2; round++)
	{
		add(&lines, 1, "{}");
		add(&lines, 2, "{\"a\":1}");
		add(&lines, 3, "3");
		check_body(&lines, 0, 3, "{}\n{\"a\":1}\n3\n");
		check_body(&lines, 1, 1, "{\"a\":1}\n");
		check_body(&lines, 1, 2, "{\"a\":1}\n3\n");
		http_batch_clear(&lines, 1 << 20);
		add(&array, 1, "{}");
		add(&array, 2, "{\"a\":1}");
		add(&array, 3, "3");
		check_body(&array, 0, 3, "[{},{\"a\":1},3]");
		check_body(&array, 1, 1, "[{\"a\":1}]");
		check_body(&array, 0, 1, "[{}]");
		check_body(&array, 1, 2, "[{\"a\":1},3]");
		check_body(&array, 0, 2, "[{},{\"a\":1}]");
		check_body(&array, 2, 1, "[3]");
		check_body(&array, 0, 3, "[{},{\"a\":1},3]");
		http_batch_clear(&array, 0);
	}
	http_batch_free(&lines);
	http_batch_free(&array);
}

static void
batches_are_of_one_kind(void **state)
{
	HttpBatch batch = {0};
	Position same = {.timeline = 1};
	Position other = {.timeline = 2};
	Position later = {.timeline = 1, .incarnation = 1};

	(void) state;
	assert_true(http_batch_fits(&batch, "http://h/b", &other));
	add(&batch, 1, "{}");
	assert_true(http_batch_fits(&batch, "http://h/", &same));
	assert_false(http_batch_fits(&batch, "http://h/b", &same));
	assert_false(http_batch_fits(&batch, "http://h/", &other));
	assert_false(http_batch_fits(&batch, "http://h/", &later));
	http_batch_free(&batch);
}

static bool
has_header(const struct curl_slist *headers, const char *line)
{
	for (; headers != NULL; headers = headers->next)
		if (strcmp(headers->data, line) == 0)
			return true;
	return false;
}

static void
headers_say_what_it_is(void **state)
{
	static const Source source = {"7301234567890123456", "a b/\xc3\xa9", "cdc", "shop"};
	HttpParams params = {.coding = HTTP_GZIP};
	HttpBatch batch = {0};
	HttpAbout about = {.params = &params,
					   .source = &source,
					   .batch = &batch,
					   .from = 1,
					   .count = 2,
					   .signature = "t=1,v1=00"};
	struct curl_slist *users = curl_slist_append(NULL, "X-Tenant: shop");
	struct curl_slist *headers;

	(void) state;
	add(&batch, 1, "{}");
	add(&batch, 2, "{}");
	add(&batch, 3, "{}");
	headers = http_headers_make(&about, users);
	assert_non_null(headers);
	assert_true(has_header(headers, "Idempotency-Key: 7301234567890123456:a%20b%2F%C3%A9:cdc:0:"
									"0/16E2A10-2-0..0/16E2A10-3-0"));
	assert_true(has_header(headers, "Cdc-Record-Count: 2"));
	assert_true(has_header(headers, "Content-Encoding: gzip"));
	assert_true(has_header(headers, "Content-Type: application/x-ndjson"));
	assert_true(has_header(headers, "Cdc-Signature: t=1,v1=00"));
	assert_true(has_header(headers, "X-Tenant: shop"));
	curl_slist_free_all(headers);
	curl_slist_free_all(users);
	http_batch_free(&batch);
}

/* The header's value, or NULL. */
static const char *
header_value(const struct curl_slist *headers, const char *name)
{
	for (; headers != NULL; headers = headers->next)
		if (strncmp(headers->data, name, strlen(name)) == 0 && headers->data[strlen(name)] == ':')
			return headers->data + strlen(name) + 2;
	return NULL;
}

static void
add_schema(HttpBatch *batch, const char *payload)
{
	RecordId none = {0};
	Position after = {.timeline = 1};

	assert_true(
		http_batch_add(batch, "http://h/", payload, (uint32_t) strlen(payload), &none, &after));
}

static void
schemas_are_no_records(void **state)
{
	static const Source source = {"7", "a", "cdc", "shop"};
	HttpParams params = {0};
	HttpBatch batch = {0};
	HttpBatchPart part;
	HttpBatchPart other;
	HttpAbout about = {.params = &params, .source = &source, .batch = &batch, .count = 4};
	struct curl_slist *headers;

	(void) state;
	add_schema(&batch, "{\"v\":1}");
	add(&batch, 1, "{}");
	add_schema(&batch, "{\"v\":2}");
	add(&batch, 2, "{}");
	headers = http_headers_make(&about, NULL);
	assert_true(has_header(headers, "Cdc-First-Record: 0/16E2A10-1-0"));
	assert_true(has_header(headers, "Cdc-Last-Record: 0/16E2A10-2-0"));
	assert_true(has_header(headers, "Cdc-Record-Count: 2"));
	assert_true(has_header(headers, "Cdc-Schema-Count: 2"));
	assert_int_equal(strncmp(header_value(headers, "Idempotency-Key"),
							 "7:a:cdc:0:0/16E2A10-1-0..0/16E2A10-2-0+", 38),
					 0);
	curl_slist_free_all(headers);
	/* a schema record by itself */
	about.count = 1;
	headers = http_headers_make(&about, NULL);
	assert_null(header_value(headers, "Cdc-First-Record"));
	assert_true(has_header(headers, "Cdc-Record-Count: 0"));
	assert_int_equal(strncmp(header_value(headers, "Idempotency-Key"), "7:a:cdc:0:schema+", 17), 0);
	curl_slist_free_all(headers);
	/* what differs, and where it stands */
	http_batch_describe(&batch, 0, 2, &part);
	http_batch_describe(&batch, 2, 2, &other);
	assert_true(part.schemas_hash != other.schemas_hash);
	http_batch_describe(&batch, 1, 2, &part);
	assert_true(part.schemas_hash != other.schemas_hash);
	http_batch_free(&batch);
}

static void
events_have_types_of_their_own(void **state)
{
	static const Source source = {"7", "a", "cdc", "shop"};
	static const char event[] = "{\"specversion\":\"1.0\",\"type\":\"cdc.insert\"}";
	static const struct
	{
		HttpShape shape;
		const char *first;
		const char *second; /* NULL: none */
		const char *type;
	} cases[] = {
		{HTTP_LINES, event, event, "Content-Type: application/x-ndjson"},
		{HTTP_ARRAY, event, event, "Content-Type: application/cloudevents-batch+json"},
		{HTTP_ARRAY, event, "{}", "Content-Type: application/json"},
		{HTTP_ARRAY, "{}", event, "Content-Type: application/json"},
		{HTTP_SINGLE, event, NULL, "Content-Type: application/cloudevents+json"},
		{HTTP_SINGLE, "{\"specversion\":\"1.0\"}", NULL, "Content-Type: application/json"},
	};
	HttpParams params = {0};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		HttpBatch batch = {.shape = cases[i].shape};
		HttpAbout about = {.params = &params, .source = &source, .batch = &batch};
		struct curl_slist *headers;

		add(&batch, 1, cases[i].first);
		if (cases[i].second != NULL)
			add(&batch, 2, cases[i].second);
		about.count = batch.num_records;
		headers = http_headers_make(&about, NULL);
		assert_true(has_header(headers, cases[i].type));
		curl_slist_free_all(headers);
		if (cases[i].shape == HTTP_SINGLE)
			check_body(&batch, 0, 1, cases[i].first);
		/* what comes next is judged by itself */
		http_batch_clear(&batch, 0);
		add(&batch, 3, event);
		assert_true(batch.events);
		http_batch_free(&batch);
	}
}

static void
answers_are_told_apart(void **state)
{
	static const struct
	{
		long status;
		HttpVerdict verdict;
	} cases[] = {
		{200, HTTP_TAKEN},  {202, HTTP_TAKEN},     {299, HTTP_TAKEN},    {300, HTTP_WRONG},
		{301, HTTP_WRONG},  {304, HTTP_WRONG},     {307, HTTP_REDIRECT}, {308, HTTP_REDIRECT},
		{400, HTTP_POISON}, {401, HTTP_WRONG},     {404, HTTP_WRONG},    {408, HTTP_AGAIN},
		{409, HTTP_AGAIN},  {413, HTTP_TOO_LARGE}, {422, HTTP_POISON},   {429, HTTP_AGAIN},
		{499, HTTP_POISON}, {500, HTTP_AGAIN},     {501, HTTP_WRONG},    {503, HTTP_AGAIN},
		{599, HTTP_AGAIN},  {100, HTTP_WRONG},     {600, HTTP_WRONG},    {0, HTTP_WRONG},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (http_answer_verdict(cases[i].status) != cases[i].verdict)
			fail_msg("%ld is judged %d", cases[i].status, http_answer_verdict(cases[i].status));
	assert_int_equal(http_answer_failure(CURLE_COULDNT_CONNECT), CDC_RETRY);
	assert_int_equal(http_answer_failure(CURLE_OPERATION_TIMEDOUT), CDC_RETRY);
	assert_int_equal(http_answer_failure(CURLE_PEER_FAILED_VERIFICATION), CDC_STOP);
	assert_int_equal(http_answer_failure(CURLE_SSL_CACERT_BADFILE), CDC_USAGE);
}

/* Prepares data, in as many steps as it takes. */
static const char *
prepare(HttpBody *body, const char *data, size_t length, size_t *prepared)
{
	bool done = false;

	assert_int_equal(http_body_begin(body, data, length, &err), CDC_OK);
	while (!done)
		assert_int_equal(http_body_step(body, &done, &err), CDC_OK);
	return http_body_data(body, prepared);
}

static void
check_signature(HttpBody *body, const char *data, size_t length)
{
	const char *signature = http_body_signature(body);
	char *message = malloc(length + 32);
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned mac_length;
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	long timestamp = strtol(signature + 2, NULL, 10);
	int prefix = sprintf(message, "%ld.", timestamp);

	assert_non_null(message);
	memcpy(message + prefix, data, length);
	HMAC(EVP_sha256(), "secret", 6, (unsigned char *) message, (size_t) prefix + length, mac,
		 &mac_length);
	for (unsigned i = 0; i < mac_length; i++)
		sprintf(hex + 2 * i, "%02x", mac[i]);
	assert_string_equal(strstr(signature, ",v1=") + 4, hex);
	free(message);
}

/* Of several pieces, twice with the same HttpBody, small behind large. */
static void
bodies_are_compressed_and_signed(void **state)
{
	static const size_t sizes[] = {3 * 1024 * 1024 + 17, 1, 256 * 1024, 700000};
	char *data = malloc(sizes[0]);
	char *back = malloc(sizes[0]);
	HttpBody *body;

	(void) state;
	for (size_t i = 0; i < sizes[0]; i++)
		data[i] = (char) ('a' + i % 23 + i / 65536 % 3);
	assert_int_equal(http_body_create(&body, HTTP_GZIP, "secret", 6, &err), CDC_OK);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		size_t length;
		const char *prepared = prepare(body, data, sizes[i], &length);
		z_stream stream = {.next_in = (unsigned char *) prepared,
						   .avail_in = (unsigned) length,
						   .next_out = (unsigned char *) back,
						   .avail_out = (unsigned) sizes[0]};

		assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
		assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
		assert_int_equal(stream.total_out, sizes[i]);
		assert_memory_equal(back, data, sizes[i]);
		inflateEnd(&stream);
		check_signature(body, prepared, length);
	}
	http_body_free(body);
	free(data);
	free(back);
}

static void
bodies_are_signed_anew(void **state)
{
	HttpBody *body;
	size_t length;
	bool done;
	const char *prepared;

	(void) state;
	assert_int_equal(http_body_create(&body, HTTP_IDENTITY, "secret", 6, &err), CDC_OK);
	prepared = prepare(body, "{}\n", 3, &length);
	assert_int_equal(length, 3);
	check_signature(body, prepared, length);
	assert_int_equal(http_body_resign(body, &err), CDC_OK);
	assert_int_equal(http_body_step(body, &done, &err), CDC_OK);
	assert_true(done);
	check_signature(body, prepared, length);
	http_body_free(body);
	assert_int_equal(http_body_create(&body, HTTP_IDENTITY, NULL, 0, &err), CDC_OK);
	prepare(body, "{}\n", 3, &length);
	assert_null(http_body_signature(body));
	http_body_free(body);
}

static CdcStatus
read_secret(const char *content, char **secret, size_t *length)
{
	char path[] = "/tmp/cdc_http.XXXXXX";
	FILE *file = fdopen(mkstemp(path), "w");
	HttpParams params = {.secret_file = path};
	CdcError err;
	CdcStatus status;

	assert_non_null(file);
	fputs(content, file);
	fclose(file);
	status = http_secret_read(&params, secret, length, &err);
	unlink(path);
	if (status != CDC_OK)
		assert_non_null(strstr(err.message, "(cdc.secret-file) is empty"));
	return status;
}

/* An editor's newline is no part of a secret, and a secret of nothing is none. */
static void
secrets_are_read(void **state)
{
	HttpParams params = {.secret_env = "CDC_TEST_SECRET"};
	char *secret;
	size_t length;
	CdcError err;

	(void) state;
	assert_int_equal(read_secret(" s3cret \r\n", &secret, &length), CDC_OK);
	assert_int_equal(length, 8);
	assert_memory_equal(secret, " s3cret ", 8);
	free(secret);
	assert_int_equal(read_secret("\n\n", &secret, &length), CDC_USAGE);
	assert_null(secret);
	assert_int_equal(read_secret("", &secret, &length), CDC_USAGE);

	setenv("CDC_TEST_SECRET", "from there", 1);
	assert_int_equal(http_secret_read(&params, &secret, &length, &err), CDC_OK);
	assert_string_equal(secret, "from there");
	assert_int_equal(length, 10);
	free(secret);
	setenv("CDC_TEST_SECRET", "", 1);
	assert_int_equal(http_secret_read(&params, &secret, &length, &err), CDC_USAGE);
	unsetenv("CDC_TEST_SECRET");
	assert_int_equal(http_secret_read(&params, &secret, &length, &err), CDC_USAGE);
	assert_string_equal(
		err.message,
		"environment variable \"CDC_TEST_SECRET\" (cdc.secret-env) is not set, or empty");
	assert_null(secret);
	params.secret_env = NULL;
	assert_int_equal(http_secret_read(&params, &secret, &length, &err), CDC_OK);
	assert_null(secret);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uris_are_taken_apart),
		cmocka_unit_test(what_is_left_out_has_defaults),
		cmocka_unit_test(queries_are_the_endpoints),
		cmocka_unit_test(what_is_wrong_is_refused),
		cmocka_unit_test(bodies_are_of_any_part),
		cmocka_unit_test(batches_are_of_one_kind),
		cmocka_unit_test(headers_say_what_it_is),
		cmocka_unit_test(schemas_are_no_records),
		cmocka_unit_test(events_have_types_of_their_own),
		cmocka_unit_test(answers_are_told_apart),
		cmocka_unit_test(bodies_are_compressed_and_signed),
		cmocka_unit_test(bodies_are_signed_anew),
		cmocka_unit_test(secrets_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

/* The sink is left out, and so are its tests. */
static void
the_http_sink_is_left_out(void **state)
{
	(void) state;
	skip();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(the_http_sink_is_left_out)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
