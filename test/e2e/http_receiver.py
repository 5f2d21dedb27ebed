#!/usr/bin/python3
"""An HTTP endpoint for the tests: takes records, misbehaves as it is told, and writes down what it got.

usage: http_receiver.py FOLDER PORT [CERT KEY [CLIENTS-CA]]

FOLDER/records has each record that was answered with 2xx (or that an answer says to take), a line each, in
the order of arrival; FOLDER/requests a JSON object for each request.  PUT /control replaces the behaviour:

    answers     what the next requests are answered with, one each: {"status": 503,
                "headers": {...}, "body": "...", "take": true, "cut": "before" | "within"}
    refuse      a regular expression: requests with a record that matches get refuse_status (422)
    max_body    longer bodies get 413
    delay       seconds before each answer
    secret      signatures are checked with it

PORT 0 is any free one; FOLDER/port says which.
"""
import gzip
import hashlib
import hmac
import json
import os
import re
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

folder = sys.argv[1]
lock = threading.Lock()
behaviour = {}


def append(name, data):
    with open(os.path.join(folder, name), 'ab', 0) as file:
        file.write(data)


def decode(body, coding):
    if coding == 'gzip':
        return gzip.decompress(body)
    if coding == 'zstd':
        return subprocess.run(['zstd', '-dc'], input=body, stdout=subprocess.PIPE, check=True).stdout
    return body


def records_of(body, content_type):
    """The records' own bytes, one each, so that they can be compared byte by byte."""
    if content_type == 'application/x-ndjson':
        assert body.endswith(b'\n')
        return body[:-1].split(b'\n')
    text = body.decode()
    if text[0] == '{':
        json.loads(text)
        return [body]
    assert text[0] == '[' and text[-1] == ']'
    found, at = [], 1
    while at < len(text):
        _, end = json.JSONDecoder().raw_decode(text, at)
        found.append(text[at:end].encode())
        assert text[end] == (']' if end == len(text) - 1 else ',')
        at = end + 1
    return found


def signature_is_good(header, body):
    parts = dict(part.split('=', 1) for part in header.split(','))
    good = hmac.new(behaviour['secret'].encode(), parts['t'].encode() + b'.' + body, hashlib.sha256)
    return abs(time.time() - int(parts['t'])) < 300 and hmac.compare_digest(parts['v1'], good.hexdigest())


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True

    def do_PUT(self):
        global behaviour
        body = self.rfile.read(int(self.headers['Content-Length']))
        with lock:
            behaviour = json.loads(body)
        self.answer({'status': 204})

    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        with lock:
            given = behaviour.get('answers') or [None]
            answer = given.pop(0)
            plain = decode(body, self.headers.get('Content-Encoding'))
            records = records_of(plain, self.headers['Content-Type'])
            if answer is None:
                answer = self.judge(body, records)
            append('requests', json.dumps({
                'path': self.path, 'status': answer.get('status'), 'records': len(records),
                'digest': hashlib.sha256(body).hexdigest(), 'length': len(body),
                'alpn': getattr(self.connection, 'selected_alpn_protocol', lambda: None)(),
                'peer': self.client_address[1], 'time': time.time(),
                'headers': {name.lower(): value for name, value in self.headers.items()},
                'signed': 'secret' in behaviour
                and signature_is_good(self.headers.get('Cdc-Signature', 't=0,v1='), body),
            }).encode() + b'\n')
            if answer.get('take', answer.get('status', 0) // 100 == 2):
                append('records', b''.join(record + b'\n' for record in records))
        if behaviour.get('delay'):
            time.sleep(behaviour['delay'])
        self.answer(answer)

    def judge(self, body, records):
        if len(body) > behaviour.get('max_body', len(body)):
            return {'status': 413}
        refuse = behaviour.get('refuse')
        if refuse and any(re.search(refuse.encode(), record) for record in records):
            return {'status': behaviour.get('refuse_status', 422), 'body': 'one of these is not wanted'}
        return {'status': 200, 'body': 'thanks'}

    def answer(self, answer):
        if answer.get('cut') == 'before':
            self.close_connection = True
            return
        body = answer.get('body', '').encode()
        self.send_response(answer['status'])
        for name, value in answer.get('headers', {}).items():
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(body) + (10 if answer.get('cut') else 0)))
        self.end_headers()
        self.wfile.write(body)
        if answer.get('cut'):
            self.close_connection = True

    def log_message(self, *args):
        pass


def main():
    server = ThreadingHTTPServer(('127.0.0.1', int(sys.argv[2])), Handler)
    server.daemon_threads = True
    if len(sys.argv) > 3:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[3], sys.argv[4])
        # whoever offers HTTP/2 gets it promised, and is then answered in HTTP/1.1
        context.set_alpn_protocols(['h2', 'http/1.1'])
        if len(sys.argv) > 5:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(sys.argv[5])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    with open(os.path.join(folder, 'port.new'), 'w') as file:
        file.write(str(server.server_address[1]))
    os.rename(os.path.join(folder, 'port.new'), os.path.join(folder, 'port'))
    server.serve_forever()


main()
