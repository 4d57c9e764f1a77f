"""As a Python program uses the library, by ctypes alone: use.py LIBRARY

It knows the first members of the structs that it hands over. The init functions set the defaults, and by its size the
library knows how much of a struct there is.
"""

import ctypes
import os
import sys
from ctypes import POINTER, byref, c_char_p, c_double, c_float, c_int, c_int32, c_size_t, c_uint64, c_void_p

OK, CANCELLED, NOT_FOUND, SKIPPED = 0, 1, -4, 77
PROMPT = (c_int32 * 3)(1, 5, 9)


class TrainOptions(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("steps", c_int), ("epochs", c_double), ("batch_size", c_int),
                ("accumulate", c_int), ("pack", c_int), ("max_length", c_int), ("shuffle", c_int), ("seed", c_uint64),
                ("lr", c_float)]


class TrainStep(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("step", c_int), ("steps", c_int), ("epoch", c_double), ("loss", c_float)]


class GenerateOptions(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("max_tokens", c_int), ("stop", c_void_p), ("sample", c_void_p), ("beams", c_int),
                ("length_penalty", c_float), ("callback", c_void_p), ("ended", c_void_p), ("user", c_void_p)]


class Generation(ctypes.Structure):
    _fields_ = [("text", c_void_p), ("text_size", c_size_t), ("ids", POINTER(c_int32)), ("count", c_size_t)]


OnStep = ctypes.CFUNCTYPE(c_int, c_void_p, POINTER(TrainStep))
OnText = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t)


class Failure(Exception):
    pass


class Clora:
    """The library, with what its calls answer as exceptions and its handles as pointers."""

    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        self.last_error = self.function("clora_last_error", c_char_p)

    def function(self, name, restype=c_int):
        function = getattr(self.library, name)
        function.restype = restype
        return function

    def call(self, name, *arguments, allowed=(OK,)):
        status = self.function(name)(*arguments)
        if status not in allowed:
            raise Failure(f"{name}: {self.last_error().decode()}")
        return status

    def make(self, name, *arguments):
        handle = c_void_p()
        self.call(name, byref(handle), *arguments)
        return handle

    def defaults(self, struct, init):
        made = struct()
        self.function(init, None)(byref(made), c_size_t(ctypes.sizeof(made)))
        return made


def fixture(name):
    return os.path.join(os.environ["CLORA_TEST_FIXTURES"], name).encode()


def check_defaults(clora):
    options = clora.defaults(TrainOptions, "clora_train_options_init")
    assert options.size == ctypes.sizeof(TrainOptions)
    assert (options.steps, options.epochs, options.batch_size, options.shuffle) == (0, 1.0, 4, 1)
    assert abs(options.lr - 2e-4) < 1e-9


def train(clora, model, adapter, dataset):
    """A callback keeps what it raises, for an exception must not pass through the library, and stops."""
    losses, raised = [], []

    @OnStep
    def on_step(_, step):
        try:
            losses.append(step.contents.loss)
            if len(losses) == 4:
                raise KeyboardInterrupt
        except BaseException as error:
            raised.append(error)
            return 1
        return 0

    options = clora.defaults(TrainOptions, "clora_train_options_init")
    options.steps, options.lr = 10, 0.01
    status = clora.call("clora_train", model, adapter, dataset, byref(options), on_step, None, allowed=(CANCELLED,))
    assert status == CANCELLED and isinstance(raised[0], KeyboardInterrupt)
    assert len(losses) == 4 and losses[3] < losses[0], losses


def generate(clora, model, adapter, tokenizer):
    pieces = []

    @OnText
    def on_text(_, text, size):
        pieces.append(ctypes.string_at(text, size))
        return 0

    options = clora.defaults(GenerateOptions, "clora_generate_options_init")
    assert (options.max_tokens, options.beams) == (128, 1)
    options.max_tokens, options.callback = 8, ctypes.cast(on_text, c_void_p)
    session = clora.make("clora_session_create", model, 1, 16)
    clora.call("clora_session_set_adapter", session, adapter)
    made = clora.make("clora_generate", session, tokenizer, PROMPT, c_size_t(3), byref(options))
    text = ctypes.cast(made, POINTER(Generation)).contents
    assert 0 < text.count <= 8 and text.text_size > 0
    assert b"".join(pieces) == ctypes.string_at(text.text, text.text_size)
    clora.function("clora_generation_free", None)(made)
    clora.function("clora_session_free", None)(session)


def check_failure(clora, context):
    try:
        clora.make("clora_model_load", context, b"no/such/model", None)
    except Failure as why:
        assert "no/such/model: no such directory" in str(why), why
        return
    raise AssertionError("a model that is not there was loaded")


def main():
    clora = Clora(sys.argv[1])
    check_defaults(clora)
    context = c_void_p()
    if clora.function("clora_context_create")(byref(context), None) != OK:
        print("skipped:", clora.last_error().decode())
        return SKIPPED
    model = clora.make("clora_model_load", context, fixture("tiny-llama"), None)
    tokenizer = clora.make("clora_tokenizer_load", fixture("tokenizers/smollm"))
    ids, length = (c_int32 * 6)(1, 5, 9, 13, 17, 21), c_int(6)
    dataset = clora.make("clora_dataset_from_ids", ids, None, byref(length), c_size_t(1))
    adapter = clora.make("clora_adapter_create", model, None)
    train(clora, model, adapter, dataset)
    generate(clora, model, adapter, tokenizer)
    check_failure(clora, context)
    for kind, handle in {"adapter": adapter, "dataset": dataset, "tokenizer": tokenizer, "model": model,
                         "context": context}.items():
        clora.function(f"clora_{kind}_free", None)(handle)
    return 0


sys.exit(main())
