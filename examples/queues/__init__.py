"""Recipes: queues that deliver again, workers that are killed, webhooks, and the tools of an agent.

What each needs is in `requirements.txt` beside this file; docs/task-queues.md explains them.
"""
