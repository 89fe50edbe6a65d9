"""What no schema can say: schemathesis loads it (schemathesis.toml)."""

import itertools
import os
import re

import schemathesis
from schemathesis.openapi.checks import UseAfterFree

numbers = itertools.count()


@schemathesis.auth()
class Fuzzer:
    """Whose all of it is (fuzz.rs)."""

    def get(self, case, context):
        return os.environ["AUTHORIZATION"]

    def set(self, case, data, context):
        case.headers["Authorization"] = data


@schemathesis.hook
def before_call(context, case, kwargs):
    for name, value in (case.headers or {}).items():
        if name == "Idempotency-Key" and re.fullmatch(r"[!-~]([\t -~]{0,253}[!-~])?", value):
            # One that came with another body before is refused, and rightly so: let each come once.
            value = f"{value[:240]}-{next(numbers)}"
        # As bytes that are UTF-8, which is all that a server of components passes on. The client writes Latin-1.
        case.headers[name] = value.encode().decode("latin-1")
    for name, own in (("member_id", "fuzzer"), ("seller_id", "seller")):
        # Whoever orders and sells does so in their own name.
        if isinstance(case.body, dict) and isinstance(case.body.get(name), str):
            if re.fullmatch("[A-Za-z0-9_.:@-]{1,64}", case.body[name]):
                case.body[name] = own
            else:
                del case.body[name]
    product_id = case.body.get("product_id") if isinstance(case.body, dict) else None
    if isinstance(product_id, str) and re.fullmatch("[A-Za-z0-9_.:@-]{1,64}", product_id):
        # Others there are not.
        case.body["product_id"] = os.environ["KIT"]


@schemathesis.hook
def filter_failure(context, failure, case, response):
    # To delete an order is to cancel it: it is still there to be looked at, and says so.
    return not (isinstance(failure, UseAfterFree) and response.json()["status"] == "cancelled")
