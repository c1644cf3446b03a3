"""What `idempotency top` and `idempotency dashboard` show, and the web page of the latter.

The model needs nothing but the package; the page needs the extra `dashboard`, the screen the extra `top`.
"""
