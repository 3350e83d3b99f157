"""A little service of the kind that hangs: orders come in, workers price them and write them down.

    python -m rtrace run -o service.bin docs/examples/service.py

One order in some hundreds has a note that a careless regular expression takes for ever to reject.
"""

import json
import queue
import re
import threading
import time

NOTE = re.compile(r"^(\w+\s?)*$")


class Store:
    def __init__(self):
        self.lock = threading.Lock()
        self.rows = {}

    def save(self, order):
        with self.lock:
            self.rows[order["id"]] = json.dumps(order)


class BadOrder(ValueError):
    pass


def price(order):
    if order["amount"] <= 0:
        raise BadOrder(f"amount {order['amount']}")
    return sum(tax(order["amount"], rate) for rate in (7, 19))


def tax(amount, rate):
    return amount * (100 + rate) // 100


def check_note(note):
    return NOTE.match(note) is not None


def handle(order, store):
    order["price"] = price(order)
    order["plain"] = check_note(order["note"])
    store.save(order)


def work(orders, store):
    while (order := orders.get()) is not None:
        try:
            handle(order, store)
        except BadOrder:
            order["refused"] = True


def order(number):
    note = "please ring twice" if number != 701 else "a" * 40 + "!"
    return {"id": number, "amount": number % 50, "note": note}


def main():
    orders, store = queue.Queue(maxsize=16), Store()
    workers = [
        threading.Thread(target=work, args=(orders, store), name=f"worker-{i}") for i in range(3)
    ]
    for worker in workers:
        worker.start()
    for number in range(2_000):
        orders.put(order(number))
        time.sleep(0.0005)
    for _ in workers:
        orders.put(None)
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main()
