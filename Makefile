# cdc_decoder: the output plugin (PGXS), and the client in client/
#
#	make					plugin and client
#	make plugin				the plugin only, e.g. on the database server
#	make -C client			the client only: needs libpq and json-c, no server headers
#	make install			both (the client to PREFIX/bin)
#	make install-extension	what CREATE EXTENSION reads, and nothing else: for tests of a build in place
#	make installcheck		regress and isolation tests against a running server
#	make format				clang-format, the version that CI checks with

MODULE_big = cdc_decoder
OBJS = \
	plugin/cdc_backfill.o \
	plugin/cdc_backfill_bell.o \
	plugin/cdc_decoder.o \
	plugin/cdc_decoder_setup.o \
	plugin/cdc_drop_guard.o \
	plugin/cdc_encoding.o \
	plugin/cdc_enum.o \
	plugin/cdc_expression.o \
	plugin/cdc_format.o \
	plugin/cdc_format_cdc.o \
	plugin/cdc_format_cloudevents.o \
	plugin/cdc_format_debezium.o \
	plugin/cdc_format_debezium_number.o \
	plugin/cdc_format_debezium_schema.o \
	plugin/cdc_format_debezium_time.o \
	plugin/cdc_format_debezium_transaction.o \
	plugin/cdc_format_debezium_types.o \
	plugin/cdc_format_debezium_values.o \
	plugin/cdc_format_wal2json.o \
	plugin/cdc_format_wal2json_types.o \
	plugin/cdc_generated.o \
	plugin/cdc_json.o \
	plugin/cdc_json_time.o \
	plugin/cdc_jsonb.o \
	plugin/cdc_lookup.o \
	plugin/cdc_lookup_cache.o \
	plugin/cdc_lookup_feed.o \
	plugin/cdc_lookup_key.o \
	plugin/cdc_lookup_long.o \
	plugin/cdc_lookup_read.o \
	plugin/cdc_lookup_reference.o \
	plugin/cdc_mask.o \
	plugin/cdc_members.o \
	plugin/cdc_message.o \
	plugin/cdc_numeric.o \
	plugin/cdc_option_table.o \
	plugin/cdc_options.o \
	plugin/cdc_outbox.o \
	plugin/cdc_output.o \
	plugin/cdc_pipeline.o \
	plugin/cdc_publication.o \
	plugin/cdc_record.o \
	plugin/cdc_record_bound.o \
	plugin/cdc_relation.o \
	plugin/cdc_relation_build.o plugin/cdc_relation_columns.o \
	plugin/cdc_relation_names.o \
	plugin/cdc_rows.o \
	plugin/cdc_rule.o \
	plugin/cdc_scalar.o \
	plugin/cdc_schema.o \
	plugin/cdc_selector.o \
	plugin/cdc_settings.o \
	plugin/cdc_snapshot_bounds.o \
	plugin/cdc_snapshot_key.o \
	plugin/cdc_snapshot_list.o \
	plugin/cdc_snapshot_read.o \
	plugin/cdc_snapshot_scan.o \
	plugin/cdc_snapshot_session.o \
	plugin/cdc_snapshot_wait.o \
	plugin/cdc_snapshot_window.o \
	plugin/cdc_sql.o \
	plugin/cdc_try.o \
	plugin/cdc_value.o \
	plugin/cdc_writer.o
EXTENSION = cdc_decoder
DATA = sql/cdc_decoder--1.0.sql
PGFILEDESC = "cdc_decoder - change data capture"

PG_CFLAGS = -fvisibility=hidden
PG_CPPFLAGS = -I$(srcdir)/plugin

REGRESS = $(notdir $(basename $(sort $(wildcard $(srcdir)/test/regress/sql/*.sql))))
REGRESS_OPTS = --inputdir=$(srcdir)/test/regress
ISOLATION = $(notdir $(basename $(sort $(wildcard $(srcdir)/test/isolation/specs/*.spec))))
ISOLATION_OPTS = --inputdir=$(srcdir)/test/isolation
# no bitcode: nothing of an output plugin is ever inlined into a query
override with_llvm = no

PG_CONFIG = pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# The compiler's record of which header each object needs.
OBJS_DEPENDS = $(OBJS:.o=.d)
%.o: CPPFLAGS += -MMD -MP
-include $(OBJS_DEPENDS)
EXTRA_CLEAN += $(OBJS_DEPENDS)

PREFIX = /usr/local
CLANG_FORMAT = clang-format-14
FORMATTED = $(wildcard plugin/*.[ch] client/*.[ch] client/*/*.[ch] test/*/*.[ch] test/*/*/*.[ch])

install-extension:
	$(MKDIR_P) '$(DESTDIR)$(datadir)/extension'
	$(INSTALL_DATA) $(srcdir)/cdc_decoder.control $(addprefix $(srcdir)/,$(DATA)) '$(DESTDIR)$(datadir)/extension/'

.PHONY: plugin client install-extension install-client clean-client format check-format

.DEFAULT_GOAL := all
all: client
plugin: cdc_decoder.so

client:
	$(MAKE) -C client

install: install-client
install-client: client
	$(MAKE) -C client install PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)

clean: clean-client
clean-client:
	$(MAKE) -C client clean

format:
	$(CLANG_FORMAT) -i $(FORMATTED)

check-format:
	$(CLANG_FORMAT) --dry-run -Werror $(FORMATTED)
