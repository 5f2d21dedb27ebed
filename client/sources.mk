# What cdc_client is made of, and with which libraries: for client/Makefile and test/unit/Makefile.
#
# Set CLIENT, the folder of the client's sources, PKG_CONFIG, and GENERATED, a folder for sources that are
# made, before including this.  All is read once: pkg-config and shells at each use would take longer than the compiler.
#
# What needs a library of its own has a folder of its own, and is left out where pkg-config does not
# know the library: cdc_client then says so by name when it is asked for (sink.c).

REQUIRED_PACKAGES = libpq json-c

# A library that sinks use if it is there, and say so where it is not.  name:package
OPTIONAL_LIBRARIES = zstd:libzstd

# folder:package[,package...]
OPTIONAL = \
	grpc:grpc,libprotobuf-c \
	http:libcurl,libcrypto,zlib \
	kafka:rdkafka \
	nats:libnats \
	postgresql:libpq \
	redis:hiredis,libssl

_comma := ,
_packages_of = $(subst $(_comma), ,$(lastword $(subst :, ,$(1))))
_folder_of = $(firstword $(subst :, ,$(1)))
_found := $(foreach o,$(OPTIONAL),$(if $(wildcard $(CLIENT)/$(call _folder_of,$(o))/*.c),\
	$(if $(shell $(PKG_CONFIG) --exists $(call _packages_of,$(o)) && echo yes),$(o))))
# the grpc sink needs a compiler of its own besides
ifeq ($(shell command -v protoc-c),)
_found := $(filter-out grpc:%,$(_found))
endif
_found += $(foreach o,$(OPTIONAL_LIBRARIES),\
	$(if $(shell $(PKG_CONFIG) --exists $(call _packages_of,$(o)) && echo yes),$(o)))

BUILT_IN := $(foreach o,$(_found),$(call _folder_of,$(o)))
LEFT_OUT := $(filter-out $(_found),$(OPTIONAL) $(OPTIONAL_LIBRARIES))

PACKAGES := $(sort $(REQUIRED_PACKAGES) $(foreach o,$(_found),$(call _packages_of,$(o))))
CLIENT_CPPFLAGS := -D_GNU_SOURCE -I$(CLIENT) -I$(GENERATED) \
	$(foreach b,$(BUILT_IN),-DHAVE_$(shell echo $(b) | tr a-z A-Z))

# Relative to CLIENT, as "sink.c kafka/sink_kafka.c".
CLIENT_SOURCES := $(sort $(patsubst $(CLIENT)/%,%,\
	$(wildcard $(CLIENT)/*.c $(BUILT_IN:%=$(CLIENT)/%/*.c))))

# Made by protoc-c of client/grpc/*.proto: objects may need them to be there, as cdc_sink.pb-c.h.
GENERATED_SOURCES := $(if $(filter grpc,$(BUILT_IN)),\
	$(patsubst $(CLIENT)/grpc/%.proto,$(GENERATED)/%.pb-c.c,$(wildcard $(CLIENT)/grpc/*.proto)))

$(GENERATED)/%.pb-c.c: $(CLIENT)/grpc/%.proto
	@mkdir -p $(GENERATED)
	protoc-c --proto_path=$(CLIENT)/grpc --c_out=$(GENERATED) $<
