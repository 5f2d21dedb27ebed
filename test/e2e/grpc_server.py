#!/usr/bin/python3
"""A gRPC server for the tests: implements cdc.v1.CdcSink as its .proto says, in SQLite, exactly once.

usage: grpc_server.py serve FOLDER PORT [CERT KEY [CLIENTS-CA]]
       grpc_server.py dump FOLDER COLUMN,... [schemas]

cdc_sink_pb2 (protoc --python_out) has to be in FOLDER.  PORT 0 is any free one; FOLDER/port says which.
FOLDER/behaviour, a JSON object that is read before each message, makes it misbehave:

    window          {"bytes": N, "records": N, "paused": true}, said with each answer
    refuse          a regular expression: a record that matches is refused
    refuse_by       the status that a batch with such a record, or schema, ends the stream with, instead
    go_on           it stores another batch behind a refused record, which it must not
    delay           seconds for each batch
    skip_acks       only every so many batches is acknowledged
    end             {"code": "UNAVAILABLE", "text": "..."}: each stream ends so, before
    end_after       so many batches (0)
    wrong_position  acknowledges what it was not sent
    silent          hello is not answered
    token           what the metadata "authorization" has to be
"""
import json
import os
import re
import sqlite3
import sys
import threading
import time
from concurrent import futures

import grpc

folder = sys.argv[2]
sys.path.insert(0, folder)
import cdc_sink_pb2 as pb  # noqa: E402

SCHEMA = '''
CREATE TABLE IF NOT EXISTS sources (source text PRIMARY KEY, epoch integer NOT NULL, position blob);
CREATE TABLE IF NOT EXISTS records (number integer PRIMARY KEY, source text, incarnation integer, commit_lsn integer,
    seq integer, part integer, op text, relation text, target text, key text, old_key text, value text,
    batch integer, UNIQUE (source, incarnation, commit_lsn, seq, part));
CREATE TABLE IF NOT EXISTS schemas (number integer PRIMARY KEY, source text, relation text, version text, target text,
    value text, batch integer, UNIQUE (source, relation, version));
'''


def behaviour():
    try:
        with open(os.path.join(folder, 'behaviour')) as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


def note(**what):
    with open(os.path.join(folder, 'streams'), 'a') as file:
        file.write(json.dumps(what) + '\n')


def connect():
    db = sqlite3.connect(os.path.join(folder, 'store.sqlite'), timeout=30, isolation_level=None)
    db.execute('PRAGMA synchronous = normal')
    return db


class Stream:
    """One call: the conversation that cdc_sink.proto describes."""

    def __init__(self, context):
        self.context = context
        self.db = connect()
        self.batches = 0

    def fail(self, code, text):
        self.context.abort(getattr(grpc.StatusCode, code), text)

    def hello(self, hello):
        if hello.version != 1:
            self.fail('FAILED_PRECONDITION', f'version {hello.version} is not known')
        self.source = f'{hello.source.system_identifier}/{hello.source.database}/{hello.source.slot}'
        self.db.execute('BEGIN IMMEDIATE')
        row = self.db.execute('SELECT epoch, position FROM sources WHERE source = ?', (self.source,)).fetchone()
        self.epoch, position = row or (0, None)
        if not hello.look:
            self.epoch += 1
            self.db.execute('INSERT INTO sources VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET epoch = excluded.epoch',
                            (self.source, self.epoch, position))
        self.db.execute('COMMIT')
        note(source=self.source, name=hello.source.name, epoch=self.epoch, look=hello.look,
             agent=dict(self.context.invocation_metadata()).get('user-agent'), peer=self.context.peer())
        ack = pb.Ack(epoch=self.epoch)
        if position is not None:
            ack.position.ParseFromString(position)
        return ack

    def store(self, batch):
        self.db.execute('BEGIN IMMEDIATE')
        epoch, = self.db.execute('SELECT epoch FROM sources WHERE source = ?', (self.source,)).fetchone()
        if epoch != batch.epoch or epoch != self.epoch:
            self.db.execute('ROLLBACK')
            self.fail('ABORTED', f'epoch {batch.epoch} is over, {epoch} has taken over')
        for schema in batch.schemas:
            self.db.execute('INSERT INTO schemas VALUES (NULL, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING', (
                self.source, f'{schema.schema}.{schema.table}', schema.version, schema.target, schema.value.decode(),
                self.batches))
        for record in batch.records:
            self.db.execute('INSERT INTO records VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)', (
                self.source, batch.position.incarnation, record.commit_lsn, record.seq, record.part,
                pb.Op.Name(record.op), f'{record.schema}.{record.table}', record.target, record.key.decode(),
                record.old_key.decode(), record.value.decode(), self.batches))
        self.db.execute('UPDATE sources SET position = ? WHERE source = ?',
                        (batch.position.SerializeToString(), self.source))
        self.db.execute('COMMIT')

    def refused(self, batch, told):
        for schema in batch.schemas:
            if told.get('refuse') and re.search(told['refuse'].encode(), schema.value):
                self.fail(told['refuse_by'], 'no schema is wanted')
        for record in batch.records:
            if told.get('refuse') and re.search(told['refuse'].encode(), record.value):
                if told.get('refuse_by'):
                    self.fail(told['refuse_by'], 'one of these is not wanted')
                return pb.Refusal(commit_lsn=record.commit_lsn, seq=record.seq, part=record.part,
                                  reason='it is\nnot wanted')
        return None

    def answer(self, batch):
        told = behaviour()
        if told.get('end') and self.batches >= told.get('end_after', 0):
            self.fail(told['end']['code'], told['end'].get('text', ''))
        if batch.HasField('hello'):
            while behaviour().get('silent') and self.context.is_active():
                time.sleep(0.05)
            ack = self.hello(batch.hello)
        else:
            self.batches += 1
            time.sleep(told.get('delay', 0))
            ack = pb.Ack()
            refusal = self.refused(batch, told)
            if refusal is not None:
                ack.refused.CopyFrom(refusal)
                return ack
            self.store(batch)
            if self.batches % told.get('skip_acks', 1) != 0:
                return None
            ack.position.CopyFrom(batch.position)
            if told.get('wrong_position'):
                ack.position.seq += 1000
        if told.get('window') is not None:
            ack.window.CopyFrom(pb.Window(**told['window']))
        return ack


def deliver(requests, context):
    token = behaviour().get('token')
    if token is not None and dict(context.invocation_metadata()).get('authorization') != token:
        context.abort(grpc.StatusCode.UNAUTHENTICATED, 'who are you?')
    stream = Stream(context)
    waiting = threading.Event()

    # a window that opens again has to be said without a batch to answer
    for batch in requests:
        ack = stream.answer(batch)
        if ack is None:
            continue
        if ack.HasField('refused'):
            if behaviour().get('go_on'):
                stream.store(next(requests))
            yield ack
            return
        yield ack
        while ack.window.paused and context.is_active():
            window = behaviour().get('window') or {}
            if not window.get('paused'):
                ack = pb.Ack(window=pb.Window(**window))
                yield ack
            waiting.wait(0.05)


def serve():
    connect().executescript('PRAGMA journal_mode = wal;' + SCHEMA)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler('cdc.v1.CdcSink', {
        'Deliver': grpc.stream_stream_rpc_method_handler(deliver, pb.Batch.FromString, pb.Ack.SerializeToString),
    }),))
    address = f'127.0.0.1:{sys.argv[3]}'
    if len(sys.argv) > 4:
        cert, key, *clients = (open(name, 'rb').read() for name in sys.argv[4:])
        port = server.add_secure_port(address, grpc.ssl_server_credentials(
            [(key, cert)], clients[0] if clients else None, bool(clients)))
    else:
        port = server.add_insecure_port(address)
    server.start()
    with open(os.path.join(folder, 'port.new'), 'w') as file:
        file.write(str(port))
    os.rename(os.path.join(folder, 'port.new'), os.path.join(folder, 'port'))
    server.wait_for_termination()


def dump():
    columns = sys.argv[3]
    if not re.fullmatch('[a-z_,]+', columns):
        sys.exit(f'not columns: {columns}')
    table = 'schemas' if sys.argv[4:] == ['schemas'] else 'records'
    for row in connect().execute(f'SELECT {columns} FROM {table} ORDER BY number'):
        print('\t'.join(str(value) for value in row))


serve() if sys.argv[1] == 'serve' else dump()
