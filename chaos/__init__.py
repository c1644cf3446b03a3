"""Worker processes that are killed and stopped at random share one store; a ledger counts what really happened.

    python -m chaos --store sqlite --seconds 30

Where the store is a server (redis, redis-cluster, redis-sentinel, postgres), that is struck too: killed with SIGKILL
and started again on what it had flushed to disk, crashed, or its master killed or stopped until another one leads; and
connections to it break, above all after it has done the work and before its answer arrives.

The rule that makes "exactly once" true here, and that any reconciler needs:

- *It happened* may be said by anyone, at any time: the effect is in the ledger.
- *It did not happen* may be said only when no earlier holder's request can still arrive. Not found is not enough. A
  holder that was stopped (SIGSTOP, a laptop's sleep) wakes beyond its lease and sends; bytes that a killed holder sent
  may still wait in the ledger's socket. No lease and no fence in the store can call such a request back.

So a worker opens a *call* at the ledger before it asks the store for anything, on the connection that it will send
the effect on, and never opens another connection within that call. The ledger takes a connection's requests in order,
and closes the call when the worker says how it ended or when the connection ends, whichever process death caused that.
Whoever might still send therefore has an open call, and a reconciler that finds no effect says NOT_EXECUTED only while
no call for the action but its own is open. Otherwise it raises, and the action stays in doubt until later.

The record's owner could not answer that: it is the newest holder, and a stopped one may stand behind it.

A store that can't be reached says so in one of two ways, and workers tell the ledger: StoreUnavailableError says that
the effect did not happen; ResultNotRecordedError says that it did, and that the record doesn't tell of it: the action
is in doubt, until a reconciler looks. What replication may lose is told apart from what nothing may lose. With
`wait_replicas=1` a claim outlives the master that granted it, so no action is begun twice unknown to everybody. But a
completion isn't waited for, so it may be undone by a failover: then the action is in doubt again, and is counted
(`undone`), and no effect may come of it.

The ledger prevents nothing: it counts whatever arrives. The control run sends the same deliveries to the same ledger
under the same kills and stops, without this package, and its duplicates show it.

    deliveries  the queue: every action is handed out more than once, and again until somebody is done with it
    ledger      what happened: effects, open calls, looks, how calls ended
    service     the ledger's process, HTTP on loopback
    lines       a connection to it, for threads and for tasks
    worker      a process of threads and tasks that do what they are handed
    herd        starts the workers, kills, stops, wakes and replaces them
    settlement  after the last kill: settles what is in doubt, finishes the rest, audits
    stores      where the records are kept, by name
    siege       what happens to a store's server meanwhile
"""
