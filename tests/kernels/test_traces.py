"""Traces read back: made-up events of each platform, and a real trace of the CPU."""

from types import SimpleNamespace

import pytest

from vidshift.kernels.analysis import traces


def event(name, start, duration, **stats):
    return SimpleNamespace(
        name=name, start_ns=start, duration_ns=duration, stats=stats.items()
    )


def data(**planes):
    """Takes each plane's lines of events, by name."""
    return SimpleNamespace(
        planes=[
            SimpleNamespace(
                name=name,
                lines=[SimpleNamespace(name=n, events=e) for n, e in lines.items()],
            )
            for name, lines in planes.items()
        ]
    )


def of_step(name, start, duration, operation):
    return event(name, start, duration, hlo_module="jit_train_step", hlo_op=operation)


GPU = data(
    **{
        "/host:CPU": {"python": [event("jit_train_step", 0, 900)]},
        "/device:GPU:0": {
            "Stream #13(Compute)": [
                of_step("sm90_xmma_fprop_implicit_gemm_bf16", 0, 100, "cudnn-conv.3"),
                of_step("loop_convert_fusion_12", 100, 50, "loop_convert_fusion_12"),
                of_step("temporal_shift_conv_dx_triton", 170, 30, "custom-call.7"),
                of_step("loop_convert_fusion_12", 200, 50, "loop_convert_fusion_12"),
                of_step("input_reduce_fusion_3", 260, 40, "input_reduce_fusion_3"),
            ],
            "Stream #14(MemcpyD2D)": [event("MemcpyD2D", 150, 10)],
            "Launch Stats": [event("loop_convert_fusion_12", 0, 5000)],
        },
    }
)


def test_a_gpus_kernels():
    found = traces.operations_of(GPU)
    rows = {row.name: row for row in found}
    assert rows["loop_convert_fusion_12"] == traces.Operation(
        "loop_convert_fusion_12",
        "train_step",
        pytest.approx(100e-9),
        2,
        "elementwise",
        False,
    )
    assert rows["temporal_shift_conv_dx_triton"].ours
    assert rows["MemcpyD2D"].program == ""
    # 160 to 170 and 250 to 260: the copy fills part of what its neighbour leaves free.
    assert found[-1].kind == traces.GAPS
    assert (found[-1].seconds, found[-1].count) == (pytest.approx(20e-9), 2)
    assert [row.seconds for row in found[:-1]] == sorted(
        (row.seconds for row in found[:-1]), reverse=True
    )


def test_kinds_and_totals():
    found = traces.operations_of(GPU)
    kinds = {row.kind: row.seconds for row in traces.by_kind(found)}
    assert kinds == {
        "convolutions and products": pytest.approx(100e-9),
        "elementwise": pytest.approx(100e-9),
        "our kernels": pytest.approx(30e-9),
        "reductions": pytest.approx(40e-9),
        "transposes and copies": pytest.approx(10e-9),
        "gaps": pytest.approx(20e-9),
    }
    total = traces.totals(found)
    assert total["operations"] == traces.Time(pytest.approx(280e-9), 6)
    assert total["ours"] == traces.Time(pytest.approx(30e-9), 1)
    assert [row.name for row in traces.largest(found, 1)] == [found[0].name]


def test_summary_is_of_a_step():
    text = traces.summary(
        [
            traces.Operation("loop_fusion_1", "f", 0.006, 4, "elementwise", False),
            traces.Operation(
                "shift3d_forward_triton", "f", 0.002, 2, traces.OURS, True
            ),
            traces.Operation("nothing runs", "", 0.001, 6, traces.GAPS, False),
        ],
        steps=2,
        count=1,
    )
    first, _, _, *rows = text.splitlines()
    assert first == (
        "4.000 ms of operations a step (3), 0.500 ms of gaps (3); "
        "our kernels 1.000 ms (25.0%)"
    )
    assert rows[0].split() == ["3.000", "75.0%", "2", "elementwise"]
    assert rows[-1].split() == ["3.000", "75.0%", "2", "loop_fusion_1"]
    assert "shift3d" not in text
    assert "no operation" in traces.summary([], steps=1)


def test_a_tpus_operations_hold_others():
    path = {"tf_op": "jit(evaluate)/while/body/conv"}
    ops = [
        event("%while.1 = (bf16[8]) while(...)", 0, 100, tf_op="jit(evaluate)/while"),
        event("%fusion.3 = ...", 10, 40, hlo_category="convolution fusion", **path),
        event("%shift3d_backward_pallas_tpu.3 = ...", 50, 30, **path),
    ]
    lines = {"XLA Modules": [event("jit_evaluate", 0, 900)], "XLA Ops": ops}
    found = traces.operations_of(data(**{"/device:TPU:0": lines}))
    rows = {row.name: row for row in found}
    assert rows["while.1"].seconds == pytest.approx(30e-9)
    assert rows["fusion.3"].kind == "convolutions and products"
    assert rows["shift3d_backward_pallas_tpu.3"].ours
    assert {row.program for row in found[:-1]} == {"evaluate"}
    assert found[-1].count == 0


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("shift3d_forward_triton", traces.OURS),
        ("triton_gemm_dot.3", "convolutions and products"),
        ("sm80_xmma_wgrad_implicit_gemm_nhwckrsc_nhwc", "convolutions and products"),
        ("nvjet_hsh_128x256_64x4", "convolutions and products"),
        ("dot.4", "convolutions and products"),
        ("void cudnn::ops::nchwToNhwcKernel<float>", "transposes and copies"),
        ("input_transpose_fusion_2", "transposes and copies"),
        ("Memset 4", "transposes and copies"),
        ("loop_select_and_scatter_fusion", "scatters"),
        ("input_scatter_fusion", "scatters"),
        ("loop_convert_fusion_8", "elementwise"),
        ("input_convert_reduce_fusion_1", "reductions"),
        ("ncclDevKernel_AllReduce_Sum_bf16", "collectives"),
        ("rng-bit-generator", "other"),
    ],
)
def test_kind_by_name(name, kind):
    assert traces.kind_of(name) == kind


def test_no_trace(tmp_path):
    with pytest.raises(FileNotFoundError, match="no trace"):
        traces.operations(tmp_path)
