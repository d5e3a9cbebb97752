"""Logging in the midst of logging: by signal handlers, finalizers and callbacks, at forks and at the exit."""

import subprocess
import sys
import textwrap
from collections import Counter

import pytest

from tests.support.lines import parse_line, parse_lines
from tests.support.processes import ROOT, clean_environ
from tests.system.test_logging_output import PREPARE, run

both_sinks = pytest.mark.parametrize("queued", [False, True], ids=["direct", "queued"])


def counts(text: str) -> Counter[str]:
    return Counter(line["event"] for line in parse_lines(text))


@both_sinks
def test_signals_while_threads_log(queued: bool) -> None:
    """A signal handler that logs interrupts a logging thread anywhere; every line comes out, and comes out whole."""
    result = run(f"""
        from tests.support.alarms import Alarms
        configure(Settings(log_format="json", log_queue={queued}))
        def work():
            for _ in range(1000): log.info("x", pad="x" * 3000)
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads: thread.start()
        with Alarms(0.0003, lambda: log.info("from the handler", pad="h" * 2000)) as alarms:
            while alarms.handled < 500: work()
        for thread in threads: thread.join()
        logging.getLogger().handlers[0].flush()
        log.info("told", handled=alarms.handled)
    """)
    assert result.returncode == 0, result.stderr
    lines = parse_lines(result.stdout)
    lost = sum(line["count"] for line in lines if line["event"] == "log_lines_lost")
    told = next(line["handled"] for line in lines if line["event"] == "told")
    found = counts(result.stdout)
    assert found["x"] % 1000 == 0 or lost
    assert found["from the handler"] == told or lost


@both_sinks
def test_signal_handlers_that_raise(queued: bool) -> None:
    """A handler that raises out of a log call leaves no lock behind that another thread would wait for."""
    result = run(f"""
        import signal
        class Interrupt(BaseException): pass
        raised = 0
        def handle(_, frame):
            global raised
            if frame.f_globals.get("__name__", "").startswith("dtx_telemetry.logging"):
                raised += 1
                raise Interrupt
        configure(Settings(log_format="json", log_queue={queued}))
        signal.signal(signal.SIGALRM, handle)
        stop = False
        def work():
            while not stop: log.info("x")
        thread = threading.Thread(target=work); thread.start()
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        while raised < 300:
            try:
                while True: log.info("y")
            except Interrupt: pass
        signal.setitimer(signal.ITIMER_REAL, 0)
        stop = True
        thread.join(20)
        if thread.is_alive(): os._exit(3)
        logging.getLogger().handlers[0].flush()  # a full queue drops what comes
        log.info("end")
    """)
    assert result.returncode == 0, result.stderr
    assert '"event":"end"' in result.stdout


FINALIZERS = {
    "__del__": """
        class Node:
            def __del__(self): log.info("gone")
        def leave(): node = Node(); node.itself = node
    """,
    "weakref callback": """
        import weakref
        class Node: pass
        kept = set()
        def gone(reference): log.info("gone"); kept.discard(reference)
        def leave(): node = Node(); node.itself = node; kept.add(weakref.ref(node, gone))
    """,
    "gc callback": """
        gc.callbacks.append(lambda phase, info: phase == "stop" and log.info("gone"))
        def leave(): node = []; node.append(node)
    """,
}


@both_sinks
@pytest.mark.parametrize("how", FINALIZERS)
def test_finalizers_that_log(how: str, queued: bool) -> None:
    """The garbage collector may start inside a log call, and what it calls may log."""
    result = run(f"""
        import gc
        configure(Settings(log_format="json", log_queue={queued}))
        {textwrap.indent(textwrap.dedent(FINALIZERS[how]), "        ").strip()}
        gc.set_threshold(3)
        def work():
            for _ in range(1000):
                leave()
                log.info("x", field=[1, 2, [3]])
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads: thread.start()
        work()
        for thread in threads: thread.join()
        gc.disable(); gc.callbacks.clear()
    """)
    assert result.returncode == 0, result.stderr
    found = counts(result.stdout)
    assert found["gone"] > 0
    assert found["x"] == 3000 or found["log_lines_lost"]


def test_a_line_from_within_a_write_comes_after_it() -> None:
    """What a thread logs while it writes a line is written once that line is out."""
    result = run("""
        import signal
        system_write = os.write
        def write(descriptor, data):
            written = system_write(descriptor, data[:10])
            if data.startswith(b"{") and b'"outer"' in data: signal.raise_signal(signal.SIGUSR1)
            return written
        signal.signal(signal.SIGUSR1, lambda *_: log.info("inner"))
        configure(Settings(log_format="json"))
        os.write = write
        log.info("outer")
    """)
    assert [line["event"] for line in parse_lines(result.stdout)] == ["outer", "inner"]


def test_a_signal_within_a_print_while_another_thread_logs() -> None:
    """Who logs while the application prints waits for the print before it takes our lock, which a signal handler may need."""
    result = run(
        """
        import io, signal
        class Slow(io.RawIOBase):
            def writable(self): return True
            def fileno(self): return 1
            def write(self, data):
                if bytes(data) == b"printed\\n":
                    thread.start()
                    while not waits_for_the_print(thread): pass
                    signal.raise_signal(signal.SIGUSR1)
                return os.write(1, data)
        def waits_for_the_print(thread):
            frame = sys._current_frames().get(thread.ident)
            return frame is not None and frame.f_code.co_filename.endswith("streams.py")
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(Slow()), write_through=True)
        configure(Settings(log_format="json"))
        signal.signal(signal.SIGUSR1, lambda *_: log.info("from the handler"))
        thread = threading.Thread(target=log.info, args=("of the thread",))
        print("printed", flush=True)
        thread.join()
        """,
        timeout=180,
    )
    lines = result.stdout.splitlines()
    assert lines.count("printed") == 1
    assert {parse_line(line)["event"] for line in lines if line != "printed"} == {"of the thread", "from the handler"}


@both_sinks
def test_greenlets_and_signals(queued: bool) -> None:
    """In a gevent process, too, signal handlers that log interrupt logging greenlets, and nobody waits for ever."""
    result = run(f"""
        from gevent import monkey; monkey.patch_all()
        import gevent; gevent.sleep(0)
        from tests.support.alarms import Alarms
        configure(Settings(log_format="json", log_queue={queued}))
        def work():
            for _ in range(200):
                log.info("x", pad="x" * 6000)
                gevent.sleep(0)
        with Alarms(0.001, lambda: log.info("from the handler", pad="h" * 2000)) as alarms:
            while alarms.handled < 100: gevent.joinall([gevent.spawn(work) for _ in range(3)])
        logging.getLogger().handlers[0].flush()
        log.info("told", handled=alarms.handled)
    """)
    assert result.returncode == 0, result.stderr
    told = next(line["handled"] for line in parse_lines(result.stdout) if line["event"] == "told")
    found = counts(result.stdout)
    assert found["from the handler"] == told or found["log_lines_lost"]
    assert found["x"] % 600 == 0 or found["log_lines_lost"]


def test_exit_beside_a_daemon_thread_that_writes() -> None:
    """A daemon thread that the end of the interpreter stops within a write does not hold up the lines of the very end."""
    script = """
        import select
        class Last:
            def __del__(self, log=log, write=os.write):
                write(2, b"ending\\n")
                log.info("last")
        configure(Settings(log_format="json", log_max_value_length=1_000_000))
        log.info("first")
        thread = threading.Thread(target=lambda: log.info("long", pad="y" * 500_000), daemon=True)
        sys.ps1 = Last()  # gone as the interpreter ends
        thread.start()
        while True:  # until the pipe is full, and the thread within its write
            if not select.select([], [1], [], 0)[1]: break
    """
    args = [sys.executable, "-c", PREPARE + textwrap.dedent(script)]
    process = subprocess.Popen(args, env=clean_environ(), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == b"ending\n"
        output, _ = process.communicate(timeout=180)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0
    assert b'"event":"last"' in output


@both_sinks
def test_forks_while_threads_log(queued: bool) -> None:
    """Children that are forked while every other thread logs log on."""
    result = run(f"""
        configure(Settings(log_format="json", log_queue={queued}))
        stop = False
        def work():
            while not stop: log.info("x", pad="x" * 500)
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads: thread.start()
        pids = []
        for _ in range(40):
            pid = os.fork()
            if not pid:
                log.info("child")
                logging.shutdown()
                os._exit(0)
            pids.append(pid)
        statuses = [os.waitpid(pid, 0)[1] for pid in pids]
        stop = True
        for thread in threads: thread.join()
        sys.exit(any(statuses))
    """)
    assert result.returncode == 0, result.stderr
    assert counts(result.stdout)["child"] == 40


def test_queued_lines_are_written_at_exit_after_logging_was_configured_again() -> None:
    """logging.config makes logging.shutdown forget our handler; what is queued is written all the same."""
    result = run("""
        import logging.config
        configure(Settings(log_format="json", log_queue=True))
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
        for index in range(2000): log.info("x", index=index)
    """)
    assert [line["index"] for line in parse_lines(result.stdout)] == list(range(2000))
