"""Programs that show what the package is for; `python -m examples.demo` runs the main one."""
