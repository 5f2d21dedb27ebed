/* cdc_decoder--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION cdc_decoder" to load this file. \quit

COMMENT ON SCHEMA @extschema@ IS 'cdc_decoder: change data capture';
