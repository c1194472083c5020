"""A cursor is closed once no other thread's call uses it."""

from __future__ import annotations

import threading
import time

import duckdb
import pytest

from batchflow.store.database.instance import close, in_memory, interrupt

ENDLESS = "SELECT count(*) FROM range(1000000000000) AS a WHERE hash(a.range) = 0"


def test_a_cursor_that_another_thread_uses_is_closed_afterwards() -> None:
    instance = in_memory()
    cursor = instance.cursor()
    began = threading.Event()

    def work() -> None:
        began.set()
        with pytest.raises(duckdb.InterruptException):
            cursor.execute(ENDLESS).fetchall()

    thread = threading.Thread(target=work)
    thread.start()
    began.wait()
    worked = time.process_time()
    # Nothing else here takes so much time of the processor.
    while time.process_time() - worked < 0.1:
        time.sleep(0.01)
    with pytest.raises(duckdb.ResourceInUseException):
        cursor.close()
    close(cursor)  # It gives up after a while, and raises nothing.
    while thread.is_alive():
        interrupt(cursor)
        thread.join(0.05)

    close(cursor)

    with pytest.raises(duckdb.ConnectionException):
        cursor.execute("SELECT 1")
    instance.close()
