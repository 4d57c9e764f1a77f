"""Write a C table with a call of every public function for each pointer that it cannot do without, and a list of the
structs that begin with their size:
null_calls.py OUT HEADER...

A new function is in the table as soon as it is in a header. A parameter that may be NULL stands here."""

import re
import sys

# everywhere, and in single functions
OPTIONAL = {"options", "use", "callback", "progress", "log", "user"}
OPTIONAL_IN = {
    "clora_adapter_combine": {"result"},
    "clora_adapter_convert": {"result"},
    "clora_adapter_read_module": {"a", "b"},
    "clora_chat_encode": {"tokenizer"},
    "clora_chat_load": {"file"},
    "clora_context_create": {"device"},
    "clora_dataset_from_ids": {"labels"},
    "clora_evaluate": {"adapter"},
    "clora_evaluate_preferences": {"adapter"},
    "clora_lowrank_backward": {"dx"},
    "clora_lowrank_clip": {"norm"},
    "clora_lowrank_forward": {"u", "lowrank"},
    "clora_lowrank_read": {"a", "b"},
    "clora_lowrank_read_gradients": {"da", "db"},
    "clora_lowrank_read_moment": {"a", "b"},
    "clora_lowrank_write": {"a", "b"},
    "clora_lowrank_write_moment": {"a", "b"},
    "clora_merge": {"result"},
    "clora_model_plan": {"info"},
    "clora_request_ids": {"count"},
    "clora_request_text": {"size"},
    "clora_session_set_adapter": {"adapter"},
    "clora_trainer_save": {"note"},
    "clora_tune_worker": {"device"},
}
OPENCL = {"cl_context": "given.cl", "cl_command_queue": "given.queue", "cl_mem": "given.buffer"}


def declarations(text):
    text = re.sub(r"/\*.*?\*/|//[^\n]*|^\s*#[^\n]*", " ", text, flags=re.DOTALL | re.MULTILINE)
    pattern = re.compile(r"CLORA_API\s+([^;{}()]*?)(\bclora_\w+)\s*\((.*?)\)\s*;", re.DOTALL)
    for answer, name, parameters in pattern.findall(text):
        yield answer.strip(), name, [parameter(p) for p in split(parameters) if p != "void"]


def split(parameters):
    depth, part = 0, ""
    for c in " ".join(parameters.split()):
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            yield part.strip()
            part = ""
        else:
            part += c
    yield part.strip()


def parameter(text):
    """Its type and its name."""
    function = re.match(r".*?\(\*(\w+)\)", text)
    if function:
        return "callback", function.group(1)
    kind, name = re.match(r"(.*?)(\w+)$", text).groups()
    return kind.replace("const", "").replace(" ", ""), name


def is_pointer(kind):
    return kind.endswith("*") or kind in OPENCL


def value(kind):
    """An argument that is not NULL."""
    handle = re.fullmatch(r"clora_(\w+)\*", kind)
    if kind in OPENCL:
        return OPENCL[kind]
    if kind.endswith("**"):
        return "(void *)&slot"
    if handle and handle.group(1) in HANDLES:
        return "given." + handle.group(1)
    if kind == "char*":
        return '(void *)"text"'
    if kind.endswith("*"):
        return "(void *)&room"
    return "0" if kind == "callback" or re.match(r"clora_\w*(callback|log|progress)$", kind) else "1"


HANDLES = {"context", "tensor", "weight", "lowrank", "model", "tokenizer", "decoder", "dataset", "adapter", "session",
           "trainer", "tune_plan", "engine", "request"}


def calls(answer, name, parameters):
    """Pairs of what is NULL (one parameter, or all that may not be) and the call."""
    optional = OPTIONAL | OPTIONAL_IN.get(name, set())
    needed = [i for i, (kind, p) in enumerate(parameters) if is_pointer(kind) and p not in optional]
    frees = answer == "void" and re.search(r"_(free|finish)$", name)
    for null in ([] if frees or len(needed) == 1 else [[i] for i in needed]) + ([needed] if needed else []):
        arguments = ["NULL" if i in null else value(kind) for i, (kind, _) in enumerate(parameters)]
        yield null, f"{name}({', '.join(arguments)})"


def names(parameters, null):
    return " or ".join(parameters[i][1] for i in null)


def body(answer, name, parameters, null, call):
    """The call and what it must answer: a handle that is missing gives nothing, and is no crash elsewhere."""
    if answer == "clora_status":
        makes = parameters[0][0].startswith("clora_") and parameters[0][0].endswith("**") and 0 not in null
        return f'return refused({call}, "{name}", "{names(parameters, null)}", {int(makes)});'
    if re.fullmatch(r"const clora_\w+ \*", answer):  # what a handle is: zeros, so that a program may read on
        return f"return {call} != NULL;"
    if 0 not in null or answer == "void" or answer.startswith("clora_"):
        return f"(void){call}; return 1;"
    return f"return !{call};" if answer.endswith("*") or answer in OPENCL else f"return (long){call} <= 0;"


def main():
    found, sized = [], []
    for path in sys.argv[2:]:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
        found += declarations(text)
        sized += re.findall(r"typedef struct (clora_\w+) \{\n    size_t size;[^\n]*caller knows it", text)
    entries = []
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        for answer, name, parameters in found:
            for null, call in calls(answer, name, parameters):
                out.write(f"static int call_{len(entries)}(void) {{ {body(answer, name, parameters, null, call)} }}\n")
                entries.append(f'{{"{name}", "{names(parameters, null)}", call_{len(entries)}}},\n')
        out.write("static const null_call null_calls[] = {\n" + "".join(entries) + "};\n")
        out.write(f"enum {{ FUNCTIONS = {len(found)} }};\n")
        out.write("#define SIZED_STRUCTS(X)" + "".join(f" X({s}, {s.upper()}_INIT)" for s in sized) + "\n")


main()
