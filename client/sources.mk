# What cdc_client is made of, and with which libraries: for client/Makefile and test/unit/Makefile.
#
# Set CLIENT, the folder of the client's sources, and PKG_CONFIG before including this.
#
# What needs a library of its own has a folder of its own, and is left out where pkg-config does not
# know the library: cdc_client then says so by name when it is asked for (sink.c).

REQUIRED_PACKAGES = libpq json-c

# A library that several sinks use if it is there, and say so where it is not.  name:package
OPTIONAL_LIBRARIES = zstd:libzstd

# folder:package[,package...]
OPTIONAL = \
	grpc:grpc,libprotobuf-c \
	http:libcurl,libcrypto,zlib \
	kafka:rdkafka \
	nats:libnats \
	postgresql:libpq \
	redis:hiredis

_comma := ,
_packages_of = $(subst $(_comma), ,$(lastword $(subst :, ,$(1))))
_folder_of = $(firstword $(subst :, ,$(1)))
_found := $(foreach o,$(OPTIONAL),$(if $(wildcard $(CLIENT)/$(call _folder_of,$(o))/*.c),\
	$(if $(shell $(PKG_CONFIG) --exists $(call _packages_of,$(o)) && echo yes),$(o))))
_found += $(foreach o,$(OPTIONAL_LIBRARIES),\
	$(if $(shell $(PKG_CONFIG) --exists $(call _packages_of,$(o)) && echo yes),$(o)))

BUILT_IN = $(foreach o,$(_found),$(call _folder_of,$(o)))
LEFT_OUT = $(filter-out $(_found),$(OPTIONAL) $(OPTIONAL_LIBRARIES))

PACKAGES = $(sort $(REQUIRED_PACKAGES) $(foreach o,$(_found),$(call _packages_of,$(o))))
CLIENT_CPPFLAGS = -D_GNU_SOURCE -I$(CLIENT) \
	$(foreach b,$(BUILT_IN),-DHAVE_$(shell echo $(b) | tr a-z A-Z))

# Relative to CLIENT, as "sink.c kafka/sink_kafka.c".
CLIENT_SOURCES = $(sort $(patsubst $(CLIENT)/%,%,\
	$(wildcard $(CLIENT)/*.c $(BUILT_IN:%=$(CLIENT)/%/*.c))))
