"""Values of the papers' experiments: each field of each config, and who says it.

A source that begins with a paper's name is that paper's section or table. "code" is the
official code where the paper is silent, "ours" is neither. Of `recipe=code`, where it
differs, `code` has the value.
"""

import dataclasses
import fnmatch
from typing import Any, NamedTuple

from vidshift.config import Config
from vidshift.data.sources.prepared import Prepared

PAPERS = ("TSM", "VSN", "GSF", "RubiksNet", "A3D")
# Recipes of ours: no paper has them.
OURS = {
    "tiny",
    "tiny_a3d",
    "folder",
    "arrow_of_time",
    "arrow_of_time_mobilenet_v2",
    "imagenet_rubiksnet",
}
# Fields of a machine or a run, which change no result.
ANY = ("data.dir", "data.workers", "data.worker_kind", "data.max_failed_share")
ANY += ("recipe", "differences", "init", "seed", "log_steps", "validate_epochs")
ANY += ("compilation_cache", "checkpoint.*", "distributed.*", "profile.*")


class Held(NamedTuple):
    value: Any
    source: str
    # Under recipe=code, where it is another one.
    code: Any = None


TSN = "code: TSN's, which the papers name"
CORNERS = (1.0, 0.875, 0.75, 0.66)
UNUSED = "ours: of no effect here"
OFF = "ours: what no paper names is off"

# ----------------------------------------------------------------- every experiment
EVERY = {
    "model.dtype": Held("bfloat16", "ours: parameters are float32"),
    "data.options": Held(Prepared(), "ours: the data set as it is prepared"),
    "data.train_split": Held("train", "the data set"),
    "data.validation_split": Held("validation", "the data set"),
    "data.test_split": Held("", "ours: papers report the validation split"),
    "data.sampling": Held("segments", TSN),
    "data.frame_stride": Held(8, UNUSED),
    "data.stride_fps": Held(30.0, UNUSED),
    "data.pixel_aspect": Held("ignore", "code"),
    "data.num_frames": Held(8, "TSM Table 1"),
    "data.resize": Held(256, "TSM 5.1"),
    "data.crop": Held(224, "TSM 5.1"),
    "data.scales": Held(CORNERS, TSN),
    "data.area": Held((), OFF),
    "data.short_sides": Held((), OFF),
    "data.inverse_short_sides": Held(False, OFF),
    "data.augment.rand_ops": Held(0, OFF),
    "data.augment.rand_magnitude": Held(9.0, UNUSED),
    "data.augment.rand_std": Held(0.5, UNUSED),
    "data.augment.rand_probability": Held(0.5, UNUSED),
    "data.augment.brightness": Held(0.0, OFF),
    "data.augment.contrast": Held(0.0, OFF),
    "data.augment.saturation": Held(0.0, OFF),
    "data.augment.hue": Held(0.0, OFF),
    "data.flip": Held(True, TSN),
    "data.flip_paired": Held(True, "code"),
    "data.mirror": Held((), "the data set"),
    "data.mean": Held((0.485, 0.456, 0.406), "code"),
    "data.std": Held((0.229, 0.224, 0.225), "code"),
    "optim.step_factor": Held(0.1, "TSM 5.1"),
    "optim.warmup_epochs": Held(0.0, OFF),
    "optim.warmup_lr": Held(0.0, OFF),
    "optim.momentum": Held(0.9, "code"),
    "optim.nesterov": Held(False, "code"),
    "optim.accumulate": Held(1, "ours: the batch in one part"),
    "optim.label_smoothing": Held(0.0, OFF),
    "optim.ema": Held(None, OFF),
    "optim.shift.lr": Held(0.01, UNUSED),
    "optim.shift.warmup_epochs": Held(0.0, UNUSED),
    "optim.shift.warmup_lr": Held(0.0, UNUSED),
    "optim.shift.gradient": Held("paper", UNUSED),
    "optim.shift.time_factor": Held(0.1, UNUSED),
    "optim.attention.temperature_start": Held(2.0, UNUSED),
    "optim.attention.temperature_end": Held(1e-3, UNUSED),
    "optim.attention.anneal_epochs": Held(None, UNUSED),
    "optim.attention.lr": Held(1.0, UNUSED),
    "optim.attention.budget": Held(None, UNUSED),
    "optim.attention.budget_weight": Held(1.0, UNUSED),
    "optim.attention.budget_norm": Held("absolute", UNUSED),
    "norm.freeze": Held("none", OFF),
    "norm.group_clips": Held(None, "ours: statistics of the whole batch"),
    "adaptive.mode": Held("off", UNUSED),
    "adaptive.widths": Held((0.5, 0.6, 0.7, 0.8, 0.9, 1.0), UNUSED),
    "adaptive.sides": Held((128, 160, 192, 224), UNUSED),
    "adaptive.frames": Held((2, 4, 6, 8), UNUSED),
    "adaptive.random_networks": Held(1, UNUSED),
    "adaptive.temperature": Held(1.0, UNUSED),
    "adaptive.width_draw": Held("grid", UNUSED),
    "adaptive.max_programs": Held(128, UNUSED),
    "adaptive.calibration_batches": Held(200, UNUSED),
    "steps": Held(None, "ours: epochs count"),
    "protocol": Held("1x1", "ours: validations of the training"),
    **{
        f"model.{field.name}": Held(None, "the network's own default")
        for field in dataclasses.fields(Config().model)
        if field.name not in ("backbone", "temporal", "dtype", "dropout")
    },
}
# ----------------------------------------------------------------------- data sets
FIRST_SPLIT = "the data set: the first of three splits"
FLOW = {
    "data.options": Held(Prepared(modality="flow", stack=5), "code: stacks of 5"),
    "data.scales": Held(CORNERS[:3], TSN),
    "data.mean": Held((0.5,), "code"),
    "data.std": Held((0.226,), "code"),
}
DATA_SETS = (
    ("kinetics_*", {"data.name": Held("kinetics400", "the data set")}),
    ("something_v1_*", {"data.name": Held("something_v1", "the data set")}),
    ("something_v2_*", {"data.name": Held("something_v2", "the data set")}),
    ("jester_*", {"data.name": Held("jester", "the data set")}),
    ("moments_*", {"data.name": Held("moments", "the data set")}),
    ("epic_*", {"data.name": Held("epic_kitchens100", "the data set")}),
    ("ucf101_*", {"data.name": Held("ucf101", "the data set")}),
    ("hmdb51_*", {"data.name": Held("hmdb51", "the data set")}),
    *(
        (
            pattern,
            {
                "data.train_split": Held("train_1", FIRST_SPLIT),
                "data.validation_split": Held("test_1", FIRST_SPLIT),
            },
        )
        for pattern in ("ucf101_*", "hmdb51_*")
    ),
    ("*_flow", FLOW),
)
# ------------------------------------------------------------------------ backbones
CAFFE = "code: weights that come from Caffe"
CAFFE_PIXELS = {
    "data.mean": Held(tuple(c / 255 for c in (128, 117, 104)), CAFFE),
    "data.std": Held((1 / 255,) * 3, CAFFE),
}
BACKBONES = (
    ("*_resnet50", {"model.backbone": Held("resnet50", "TSM 5.1, GSF 4.2, VSN 3.4")}),
    ("*_flow", {"model.backbone": Held("resnet50", "TSM Table 2, VSN Table 5")}),
    ("*_dense", {"model.backbone": Held("resnet50", "TSM Table 1")}),
    ("*_mobilenet_v2", {"model.backbone": Held("mobilenet_v2", "TSM 5.5")}),
    (
        "*_bn_inception",
        {"model.backbone": Held("bn_inception", "GSF Table 8")} | CAFFE_PIXELS,
    ),
    (
        "*_inception_v3",
        {
            "model.backbone": Held("inception_v3", "GSF Table 8"),
            "data.resize": Held(261, "code"),
            "data.crop": Held(229, "code"),
        }
        | CAFFE_PIXELS,
    ),
    ("*_online_*", {"model.causal": Held(True, "TSM 4.2")}),
    ("*_gsf_online_*", {"model.causal": Held(True, "ours")}),
    ("*_online", {"model.causal": Held(True, "ours")}),
)
# ---------------------------------------------------- TSM (Lin et al., ICCV 2019)
HALF = "TSM 5.1: Kinetics' halved"
TSM = {
    "model.temporal": Held("tsm", "TSM 3"),
    "model.dropout": Held(0.5, "TSM 5.1"),
    "optim.lr": Held(0.01, "TSM 5.1"),
    "optim.lr_batch_size": Held(64, "TSM 5.1"),
    "optim.schedule": Held("step", "TSM 5.1"),
    "optim.step_epochs": Held((20.0, 40.0), HALF),
    "optim.weight_decay": Held(1e-4, "TSM 5.1", code=5e-4),
    "optim.clip_norm": Held(20.0, "code: the default of opts.py"),
    "optim.groups": Held("tsm_fc5", "code: get_optim_policies"),
    "batch_size": Held(64, "TSM 5.1"),
    "eval_batch_size": Held(64, "ours: as in training"),
    "epochs": Held(50, HALF),
}
UNFLIPPED = {"data.flip": Held(False, "code: no flips of these data sets")}
TSM_FINETUNING = {
    "model.dropout": Held(0.5, "TSM 5.1", code=0.8),
    "optim.lr": Held(0.01, "TSM 5.1", code=0.001),
    "optim.step_epochs": Held((20.0, 40.0), HALF, code=(10.0, 20.0)),
    "norm.freeze": Held("all", "TSM 5.1", code="partial"),
    "epochs": Held(50, HALF, code=25),
}
TSM_KINETICS = {
    "data.sampling": Held("dense", "TSM Table 1, by the code's README"),
    "optim.step_epochs": Held((40.0, 80.0), "TSM 5.1"),
    "optim.weight_decay": Held(1e-4, "TSM 5.1"),
    "epochs": Held(100, "TSM 5.1"),
}
TSM_KINETICS_CODE = {
    "data.sampling": Held("dense", "TSM Table 1, by the code's README", "segments"),
    "optim.lr": Held(0.01, "TSM 5.1", code=0.02),
    "optim.lr_batch_size": Held(64, "TSM 5.1", code=128),
    "optim.step_epochs": Held((40.0, 80.0), "TSM 5.1", code=(20.0, 40.0)),
    "batch_size": Held(64, "TSM 5.1", code=128),
    "eval_batch_size": Held(64, "ours: as in training", code=128),
    "epochs": Held(100, "TSM 5.1", code=50),
}
TSM_FLOW = {
    "data.num_frames": Held(16, "TSM Table 2"),
    "data.flip": Held(True, "code"),
}
# ------------------------------------------------------ VSN (Ma et al., 2019), 3.4
VSN = TSM | {
    "model.temporal": Held("vsn", "VSN 3.3"),
    "model.dropout": Held(0.8, "VSN 3.4"),
    "data.sampling": Held("segments", "VSN 3.4"),
    "data.num_frames": Held(8, "VSN 3.4"),
    "data.resize": Held(256, "VSN 3.4"),
    "data.crop": Held(224, "VSN 3.4"),
    "data.flip": Held(True, "VSN 3.4"),
    "data.flip_paired": Held(False, "VSN 3.4: but order-sensitive classes"),
    "optim.lr": Held(0.01, "VSN 3.4"),
    "optim.lr_batch_size": Held(64, "VSN 3.4"),
    "optim.momentum": Held(0.9, "VSN 3.4"),
    "optim.schedule": Held("step", "ours: it names two, by data set; here TSM's"),
    "optim.step_epochs": Held((20.0, 40.0), "ours: TSM's"),
    "optim.weight_decay": Held(5e-4, "VSN 3.4"),
    "optim.clip_norm": Held(20.0, "ours: that of TSM's code"),
    "optim.groups": Held("tsm_fc5", "ours: those of TSM's code"),
    "norm.freeze": Held("partial", "VSN 3.4"),
    "batch_size": Held(64, "VSN 3.4"),
    "epochs": Held(50, "ours: TSM's"),
}
# -------------------------------------------- GSF (Sudhakaran et al., TPAMI 2023)
GSF = {
    "model.temporal": Held("gsf", "GSF 3"),
    "model.dropout": Held(0.5, "GSF 4.2"),
    "data.num_frames": Held(8, "GSF 4.2"),
    "data.sampling": Held("segments", "GSF 3.2"),
    "data.flip": Held(True, "GSF 4.2"),
    "data.augment.rand_ops": Held(0, "GSF 4.2, 4.5", code=2),
    "data.augment.rand_magnitude": Held(9.0, "code: rand-m9-mstd0.5"),
    "data.augment.rand_std": Held(0.5, "code: rand-m9-mstd0.5"),
    "optim.lr": Held(0.01, "GSF 4.2"),
    "optim.lr_batch_size": Held(32, "GSF 4.2"),
    "optim.schedule": Held("cosine", "GSF 4.2"),
    "optim.step_epochs": Held((20.0, 40.0), UNUSED),
    "optim.warmup_epochs": Held(10.0, "GSF 4.2"),
    "optim.warmup_lr": Held(0.001, "code: utils/CosineAnnealingLR.py"),
    "optim.momentum": Held(0.9, "GSF 4.2"),
    "optim.weight_decay": Held(1e-4, "GSF 4.2", code=5e-4),
    "optim.clip_norm": Held(20.0, "code: the default of opts.py"),
    "optim.groups": Held("uniform", "code: multipliers are not applied"),
    "batch_size": Held(32, "GSF 4.2"),
    "eval_batch_size": Held(32, "ours: as in training"),
    "epochs": Held(60, "GSF 4.2"),
}
SIXTEEN = {"data.num_frames": Held(16, "GSF 4.5")}
GSF_EPIC = SIXTEEN | {
    "data.augment.rand_ops": Held(2, "code: main.py; GSF 4.5 names no policy"),
}
GSF_DIVING = SIXTEEN | {
    "data.name": Held("diving48", "the data set"),
    "data.validation_split": Held("test", "the data set"),
    "optim.lr_batch_size": Held(8, "code: the learning rate is not scaled"),
    "batch_size": Held(8, "GSF 4.5"),
    "eval_batch_size": Held(8, "ours: as in training"),
}
# ------------------------------------------------ RubiksNet (Fan et al., ECCV 2020)
RUBIKS_TSM = "ours: TSM's, as A6 leaves it open"
RUBIKSNET = {
    "model.backbone": Held("rubiksnet_large", "RubiksNet Table A1"),
    "model.temporal": Held("tsn", "RubiksNet 3: it shifts by itself"),
    "model.variant": Held("interpolated", "RubiksNet 3.1"),
    "model.dropout": Held(0.3, "RubiksNet A6"),
    "model.time_init": Held("auto", "code: create_3d_from_2d's, where it applies"),
    "data.num_frames": Held(8, "RubiksNet Table 1"),
    "optim.lr": Held(0.025, "RubiksNet A6"),
    "optim.lr_batch_size": Held(64, "RubiksNet A6"),
    "optim.schedule": Held("step", "RubiksNet A6"),
    "optim.step_epochs": Held((26.0, 36.0), "RubiksNet A6"),
    "optim.step_factor": Held(0.1, "RubiksNet A6"),
    "optim.weight_decay": Held(1e-4, "RubiksNet A6"),
    "optim.clip_norm": Held(None, "ours: none is mentioned"),
    "optim.groups": Held("plain", "code: get_optim_policy"),
    "optim.shift.lr": Held(0.01, "RubiksNet A6"),
    "optim.shift.warmup_epochs": Held(1.0, "ours: A6 leaves it open"),
    "optim.shift.warmup_lr": Held(0.0, "ours: A6 leaves it open"),
    "optim.shift.gradient": Held("paper", "RubiksNet eq. 9, 10"),
    "optim.shift.time_factor": Held(0.1, "RubiksNet A6"),
    "batch_size": Held(64, "RubiksNet A6"),
    "eval_batch_size": Held(64, "ours: as in training"),
    "epochs": Held(40, "ours: past the steps of A6, and 4.1's annealing"),
}
RUBIKSNET_ATTENTION = {
    "model.variant": Held("attention", "RubiksNet 3.1"),
    "model.attention_init": Held("paper", "RubiksNet 4.1"),
    "optim.attention.temperature_start": Held(2.0, "RubiksNet 4.1"),
    "optim.attention.temperature_end": Held(1e-3, "RubiksNet 4.1"),
    "optim.attention.anneal_epochs": Held(40.0, "RubiksNet 4.1"),
    "optim.attention.lr": Held(1.0, "ours"),
    "optim.attention.budget": Held(0.125, "RubiksNet Table 5"),
    "optim.attention.budget_weight": Held(1.0, "ours"),
    "optim.attention.budget_norm": Held("absolute", "ours"),
}
RUBIKSNET_FINETUNING = {
    "optim.lr": Held(0.025, 'RubiksNet A6: "similar values"'),
    "norm.freeze": Held("all", "RubiksNet 4.1: the practice of TSM 5.1"),
}
# ---------------- A3D (Zhu et al., 2020), "the same as the official SlowFast codes"
SLOW = {
    "model.backbone": Held("slow_8x8_r50", "A3D 4"),
    "model.temporal": Held("tsn", "code: it mixes time by itself"),
    "model.dropout": Held(0.5, "code: SlowFast's, which A3D 4 names"),
    "model.head_size": Held(224, "code: windows of the training's crop"),
    "data.sampling": Held("strided", "code: SlowFast's, which A3D 4 names"),
    "data.scales": Held((), "code: SlowFast's, which A3D 4 names"),
    "data.short_sides": Held((256, 320), "code: SlowFast's, which A3D 4 names"),
    "data.flip": Held(True, "code: SlowFast's, which A3D 4 names"),
    "data.mean": Held((0.45, 0.45, 0.45), "code"),
    "data.std": Held((0.225, 0.225, 0.225), "code"),
    "optim.lr": Held(0.1, "code: SLOW_8x8_R50 and SLOWFAST_4x16_R50"),
    "optim.lr_batch_size": Held(64, "code"),
    "optim.schedule": Held("cosine_from_start", "code"),
    "optim.step_epochs": Held((20.0, 40.0), UNUSED),
    "optim.warmup_epochs": Held(34.0, "code"),
    "optim.warmup_lr": Held(0.01, "code"),
    "optim.nesterov": Held(True, "code"),
    "optim.weight_decay": Held(1e-4, "code: SlowFast's, which A3D 4 names"),
    "optim.clip_norm": Held(None, "code: none"),
    "optim.groups": Held("slowfast", "code: construct_optimizer"),
    "batch_size": Held(64, "A3D 4.1"),
    "eval_batch_size": Held(64, "ours: as in training"),
    "epochs": Held(196, "code"),
}
SLOWFAST = {
    "model.backbone": Held("slowfast_4x16_r50", "A3D 4"),
    "data.num_frames": Held(32, "code: SlowFast's, which A3D 4 names"),
    "data.frame_stride": Held(2, "code: SlowFast's, which A3D 4 names"),
}
A3D = {
    "adaptive.mode": Held("mutual", "A3D 3.1"),
    "adaptive.widths": Held(
        (0.63, 0.73, 0.83, 0.93, 1.0), "A3D Table 10: of [0.63, 1]"
    ),
    "adaptive.width_draw": Held("uniform", "A3D 3.1"),
    "adaptive.sides": Held((142, 178, 224), "A3D 4"),
    "adaptive.frames": Held((3, 5, 8), "A3D 4"),
    "adaptive.random_networks": Held(1, "A3D 3.1"),
    "adaptive.temperature": Held(1.0, "A3D eq. 3"),
    "adaptive.calibration_batches": Held(200, "code: SlowFast's precise BN"),
}
HALF_WIDTHS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
A3D_016 = {
    "adaptive.widths": Held(HALF_WIDTHS, "ours: of A3D's [0.5, 1]"),
    "adaptive.sides": Held((128, 160, 192, 224), "A3D 4"),
    "adaptive.frames": Held((2, 4, 6, 8), "A3D 4"),
}
A3D_WITHOUT_TIME = {
    "adaptive.widths": Held(HALF_WIDTHS, "ours: of A3D's [0.5, 1]"),
    "adaptive.sides": Held((112, 149, 187, 224), "ours: of A3D's [112, 224]"),
    "adaptive.frames": Held((8,), "A3D Table 6"),
}
CHARADES = {
    "model.head_size": Held(None, "ours: windows average a softmax"),
    "data.name": Held("charades", "the data set"),
    "data.validation_split": Held("test", "the data set"),
    "data.stride_fps": Held(24.0, "the data set"),
    "data.short_sides": Held((256, 340), "code: Charades' SlowFast"),
    "data.inverse_short_sides": Held(True, "code: Charades' SlowFast"),
    "optim.lr": Held(0.01875, "A3D 4.1: half of the code's"),
    "optim.lr_batch_size": Held(None, "ours"),
    "optim.schedule": Held("step", "code: Charades' SlowFast"),
    "optim.step_epochs": Held((41.0, 49.0), "code: Charades' SlowFast"),
    "optim.warmup_epochs": Held(4.0, "code: Charades' SlowFast"),
    "optim.warmup_lr": Held(1e-4, "code: Charades' SlowFast"),
    "batch_size": Held(8, "A3D 4.1: half of the code's"),
    "epochs": Held(57, "code: Charades' SlowFast"),
}

# Later rows come before earlier ones.
TABLE = (
    ("*", EVERY),
    *DATA_SETS,
    *BACKBONES,
    ("*_tsm_*", TSM),
    ("jester_tsm_*", UNFLIPPED),
    ("something_*_tsm_*", UNFLIPPED),
    ("something_*_tsm_flow", TSM_FLOW),
    ("kinetics_tsm_*", TSM_KINETICS),
    ("kinetics_tsm_resnet50", TSM_KINETICS_CODE),
    ("ucf101_tsm_*", TSM_FINETUNING),
    ("hmdb51_tsm_*", TSM_FINETUNING),
    ("*_vsn_*", VSN),
    ("*_gsf_*", GSF),
    ("kinetics_gsf_*", SIXTEEN),
    ("epic_*", GSF_EPIC),
    ("diving48_*", GSF_DIVING),
    ("*_rubiksnet*", RUBIKSNET),
    ("something_*_rubiksnet*", {"data.flip": Held(False, "ours: as in TSM's code")}),
    ("*_rubiksnet_aq", RUBIKSNET_ATTENTION),
    ("ucf101_rubiksnet", RUBIKSNET_FINETUNING),
    ("hmdb51_rubiksnet", RUBIKSNET_FINETUNING),
    ("*_slow_8x8*", SLOW),
    ("*_slowfast_4x16", SLOW | SLOWFAST),
    ("kinetics_a3d_*", A3D),
    ("kinetics_a3d_slow_8x8_016", A3D_016),
    ("kinetics_a3d_slow_8x8_without_time", A3D_WITHOUT_TIME),
    (
        "kinetics_a3d_slowfast_4x16",
        {"adaptive.frames": Held((2, 3, 4), "A3D Table 14")},
    ),
    (
        "kinetics_slow_8x8_multi_resolution",
        {
            "adaptive.mode": Held("multi_resolution", "A3D Table 7"),
            "adaptive.widths": Held((0.63, 0.73, 0.83, 0.93, 1.0), UNUSED),
            "adaptive.width_draw": Held("uniform", UNUSED),
            "adaptive.sides": Held((142, 178, 224), "A3D 4.2"),
            "adaptive.frames": Held((3, 5, 8), "A3D 4.2"),
        },
    ),
    ("charades_slow_8x8", CHARADES),
)


def held(config: str) -> dict[str, Held]:
    """Returns what a config's fields are to be, by field."""
    values = {}
    for pattern, rows in TABLE:
        if fnmatch.fnmatchcase(config, pattern):
            values |= rows
    return values
