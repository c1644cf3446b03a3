"""An action never silently runs twice, and a result is never silently lost."""
