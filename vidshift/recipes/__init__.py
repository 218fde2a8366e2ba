"""Published training recipes, one module per family; each function returns a `Config`.

    from vidshift.recipes import tsm

    def get_config():
        return tsm.something("something_v2", causal=True)

Every recipe computes in bfloat16, which TPUs multiply in. The official codes compute in
float32, except GSF's, which mixes in float16.
"""
