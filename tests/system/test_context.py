"""Scopes in processes of their own: other threads, greenlets and forks, from the first key on."""

from tests.support.processes import run_python


def test_greenlets_do_not_see_each_other():
    """Scopes of greenlets that take turns hold their own fields, under a monkey-patched gevent too."""
    code = """
        from gevent import monkey; monkey.patch_all()
        import gevent
        from structlog.contextvars import bind_contextvars
        from dtx_telemetry import context, events
        from tests.support.scopes import without_ids

        def work(number):
            scope = context.enter_root(events.OPERATION, {"request.id": f"r{number}"})
            gevent.sleep(0)
            bind_contextvars(step=number)
            gevent.sleep(0)
            seen = without_ids(context.bound())
            scope.leave()
            assert without_ids(context.bound()) == {}, without_ids(context.bound())
            return seen

        jobs = [gevent.spawn(work, number) for number in range(10)]
        gevent.joinall(jobs, raise_error=True)
        assert [job.value for job in jobs] == [{"request.id": f"r{n}", "step": n} for n in range(10)]
        assert without_ids(context.bound()) == {}
    """
    run_python(code)


def test_a_key_has_no_variable_before_it_is_bound():
    """Each that is there is read for every line and scope; a server of requests alone never binds a task's.

    Those that an application may bind itself are there from the start: where structlog makes one for a thread while another
    binds it, one of the two is lost.
    """
    run_python("""
        from dtx_telemetry import context, events
        from structlog import contextvars
        assert list(contextvars._CONTEXT_VARS) == ["structlog_request.id", "structlog_user.id", "structlog_labels"]
        context.enter(events.OPERATION, {"tenant": "north", "task.id": "t"}).leave()
        context.bind({"ws.conn_id": 7})
        assert list(context.bound()) == ["ws.conn_id"]
        new = {name.removeprefix("structlog_") for name in contextvars._CONTEXT_VARS}
        assert new == {"request.id", "user.id", "labels", "tenant", "task.id", "ws.conn_id", "scope.id"}
    """)


def test_threads_that_bind_a_new_key_at_once_all_keep_it():
    """Where structlog makes its variable, of two threads that do so at once one loses what it bound."""
    run_python("""
        import sys
        from concurrent.futures import ThreadPoolExecutor
        from threading import Barrier
        from dtx_telemetry import context, events
        from tests.support.scopes import without_ids

        sys.setswitchinterval(1e-6)
        start = Barrier(8)

        def work(number):
            for turn in range(400):
                key = f"key_{turn}"
                start.wait(180)
                if number % 2:
                    scope = context.enter_root(events.OPERATION, {key: number})
                else:
                    scope = context.enter_root(events.OPERATION, {})
                    context.bind({key: number})
                assert without_ids(context.bound()) == {key: number}, (key, number, without_ids(context.bound()))
                scope.leave()
                assert without_ids(context.bound()) == {}, without_ids(context.bound())

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
    """)


def test_lines_show_our_own_keys_first_and_always_in_the_same_order():
    """However they came to be bound first in this process."""
    run_python("""
        from dtx_telemetry import context, events
        for key in ("draft.id", "task.name", "labels", "user.id", "task.id"):
            context.enter(events.OPERATION, {key: 1}).leave()
        keys = ("tenant", "draft.id", "task.name", "task.id", "labels", "request.id")
        scope = context.enter_root(events.OPERATION, dict.fromkeys(keys, 1))
        assert list(context.bound()) == [
            "request.id", "labels", "task.id", "task.name", "scope.id", "draft.id", "tenant"
        ]
    """)


def test_a_forked_process_has_ids_of_its_own():
    """A child that is forked does not go on with the ids of its parent."""
    ids = run_python("""
        import os
        from dtx_telemetry.context import new_request_id

        new_request_id()
        child = os.fork()
        os.write(1, f"{new_request_id()}\\n".encode())
        if child:
            os.waitpid(child, 0)
    """).split()
    assert len(ids) == 2
    assert len(set(ids)) == 2


def test_reading_what_is_bound_survives_new_keys_of_other_threads():
    """Threads that bind keys never seen before do not disturb one that reads."""
    run_python("""
        import sys, threading
        from structlog.contextvars import bind_contextvars
        from dtx_telemetry import context, events
        from tests.support.scopes import without_ids

        sys.setswitchinterval(1e-6)
        def write(name):
            for number in range(300):
                bind_contextvars(**{f"{name}_{number}": number})

        writers = [threading.Thread(target=write, args=(f"key_{number}",)) for number in range(2)]
        for thread in writers:
            thread.start()
        while any(thread.is_alive() for thread in writers):
            without_ids(context.bound())
    """)


def test_a_process_that_is_forked_in_a_scope_does_not_end_it():
    """It unwinds through the scope as it exits; the event is that of the process that opened it."""
    lines = run_python("""
        import os, sys
        from dtx_telemetry import init_telemetry, operation
        init_telemetry()
        with operation("forks"):
            child = os.fork()
            if not child:
                sys.exit(0)
            os.waitpid(child, 0)
    """).splitlines()
    assert len([line for line in lines if "operation_completed" in line]) == 1


def test_a_process_that_daemonizes_itself_in_a_scope_ends_it():
    """The one that opened the scope is gone then."""
    lines = run_python("""
        import os, time
        from dtx_telemetry import init_telemetry, operation
        init_telemetry()
        done, told = os.pipe()
        if os.fork():  # stays, so that what the daemon prints is read to its end
            os.close(told)
            os.wait()
            os.read(done, 1)
            os._exit(0)
        with operation("daemon"):
            opened = os.getpid()
            if os.fork():
                os._exit(0)
            while True:  # until init, or who stands for it, has taken it over and the other is no zombie any more
                try:
                    os.kill(opened, 0)
                    time.sleep(0.01)
                except ProcessLookupError:
                    break
        os.close(told)
        os._exit(0)
    """).splitlines()
    assert len([line for line in lines if "operation_completed" in line]) == 1


def test_a_pools_child_that_is_forked_in_a_scope_is_in_none():
    """It serves the scopes that come later too. Another child works for the scope that started it."""
    run_python("""
        import billiard, multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        from dtx_telemetry import context, events, get_request_id, operation

        def answer(queue):
            queue.put(get_request_id())

        fork = multiprocessing.get_context("fork")
        with operation("first", request_id="r-1"):
            executor, pool = ProcessPoolExecutor(1, mp_context=fork), fork.Pool(1)
            billiards = billiard.get_context("fork").Pool(1)
            assert executor.submit(get_request_id).result() is None
            assert billiards.apply(get_request_id) is None
            assert pool.apply(get_request_id) is None
            assert get_request_id() == "r-1"
            queue = fork.SimpleQueue()
            process = fork.Process(target=answer, args=(queue,))
            process.start()
            assert queue.get() == "r-1"
            process.join()
        with operation("second", request_id="r-2"):
            assert executor.submit(context.bound).result() == {}
            assert pool.apply(context.bound) == {}
        executor.shutdown()
        pool.terminate()
        billiards.terminate()

        command = context.enter_root(events.COMMAND, {"request.id": "c-1", "command.name": "import"})
        with operation("first", request_id="r-1"), fork.Pool(1) as pool:
            assert pool.apply(get_request_id) == "c-1"
        command.leave()
    """)
