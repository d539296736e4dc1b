"""Any OpenAI-compatible server: ask it, bound what is asked and spent, keep what it said.

    endpoint = Endpoint("gpt-4.1", budget=Budget(usd=5.0))
    reply = await endpoint.ask([{"role": "user", "content": "..."}])
    endpoint.usage.usd(endpoint.price)

Files:
    chat.py      Endpoint: concurrency, timeouts, retries; needs the openai package, imported when an Endpoint is made
    answers.py   what a server's answer means
    spending.py  Price, Budget, Usage; list prices in prices.json
    cache.py     ReplyCache: replies on disk, in SQLite as JSON text
"""

from medvidbench_hf.endpoint.answers import AskFailed, Reply
from medvidbench_hf.endpoint.cache import ReplyCache
from medvidbench_hf.endpoint.chat import Endpoint
from medvidbench_hf.endpoint.spending import Budget, BudgetSpent, Price, Usage, estimated_tokens, price_of

__all__ = [
    "AskFailed",
    "Budget",
    "BudgetSpent",
    "Endpoint",
    "Price",
    "Reply",
    "ReplyCache",
    "Usage",
    "estimated_tokens",
    "price_of",
]
