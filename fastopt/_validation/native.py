"""Compiled objectives."""


def refuse_signature(signature, real):
    """Raise for a LowLevelCallable whose signature is none of those that are called."""
    arguments = (f"intptr_t n, const {real} *x", f"{real} *gradient, void *user_data")
    raise ValueError(
        f"`fun` must be a LowLevelCallable with the signature `double ({', '.join(arguments)})`, or "
        f"`double ({', intptr_t n_batch, const int64_t *batch, '.join(arguments)})`, for {real} parameters, "
        f"got `{signature}`."
    )
