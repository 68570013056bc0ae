#!/usr/bin/env python3
"""The exercise of the ledger, written plainly: a thread for each client, one lock, exact decimals, a dictionary.

usage: ledger.py PORT [LOG]

Takes lines `Name credit|debit $amount` from any number of clients. On SIGINT it stops accepting, reads every connected client
to its end, and writes the balances into LOG (log.txt), sorted by name.
"""

import re
import signal
import socket
import sys
import threading
from decimal import Decimal

AMOUNT = re.compile(r"\$?([0-9]+(?:\.[0-9]{1,2})?)", re.ASCII)
WHITE_SPACE = re.compile(r"[ \t\r\v\f]+")

balances = {}
lock = threading.Lock()


def transaction(line):
    """The name and the signed amount of a line, or None if it is no transaction."""
    fields = WHITE_SPACE.split(line.strip(" \t\r\v\f\n"))
    if len(fields) != 3 or fields[1] not in ("credit", "debit"):
        return None
    amount = AMOUNT.fullmatch(fields[2])
    if amount is None:
        return None
    value = Decimal(amount.group(1))
    return fields[0], value if fields[1] == "credit" else -value


def handle(client):
    with client, client.makefile("rb") as lines:
        for line in lines:
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError:
                continue
            entry = transaction(text)
            if entry is None:
                continue
            name, value = entry
            with lock:
                balances[name] = balances.get(name, Decimal(0)) + value


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: ledger.py PORT [LOG]")
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128)
    print(f"listening on tcp://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    clients = []
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        while True:
            client, _ = listener.accept()
            thread = threading.Thread(target=handle, args=(client,))
            thread.start()
            clients.append(thread)
    except KeyboardInterrupt:
        listener.close()
    for thread in clients:
        thread.join()
    with open(sys.argv[2] if len(sys.argv) == 3 else "log.txt", "w", encoding="utf-8") as log:
        for name in sorted(balances, key=lambda name: name.encode()):
            log.write(f"{name} ${balances[name]:.2f}\n")


if __name__ == "__main__":
    main()
