import importlib
import json
import os
import sys

module_name, _, attribute_path = sys.argv[1].partition(":")
with open(sys.argv[2], encoding="utf-8") as file:
    arguments = json.load(file)
target = importlib.import_module(module_name)
for attribute in attribute_path.split("."):
    target = getattr(target, attribute)
result = target(**arguments) if isinstance(arguments, dict) else target(*arguments)
if result is not None:
    with open(os.environ["FRAGUA_XCOM_FILE"], "w", encoding="utf-8") as file:
        json.dump(result, file)
