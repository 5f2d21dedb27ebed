/*
 * cdc_record_bound.h
 *		Records longer than option max_record_bytes allows.
 *
 * A record is a pure function of what WAL says and of the options, so it can be written again: that
 * is how one that turns out too long gets shorter.
 */
#ifndef CDC_RECORD_BOUND_H
#define CDC_RECORD_BOUND_H

#include "cdc_record.h"

/*
 * The record that was just written is too long: writes it again without its largest columns.	The
 * key's columns go last, and with any of them the key, which is noted in the change.
 */
extern void cdc_record_shorten(CdcRecorder *recorder, CdcChange *change);

#endif /* CDC_RECORD_BOUND_H */
