"""HTTP clients that send the `Idempotency-Key` of the action that is being executed; docs/http.md is the manual.

`clients.httpx` has `IdempotencyTransport` and `AsyncIdempotencyTransport`, `clients.requests` has `IdempotencyAdapter`.
Each imports its library, and nothing else in the package does.
"""
