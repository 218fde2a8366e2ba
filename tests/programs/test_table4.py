"""RubiksNet's Table 4 in small: four networks on Kinetics, each fine-tuned on HMDB-51."""

import pytest

from tests.data.preparation.test_prepare import grey_video
from tests.support.miniatures import make
from vidshift import cli
from vidshift.run import Run

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
SMALL = {
    "model.backbone": "rubiksnet_micro",
    "data.num_frames": 4,
    "data.resize": 20,
    "data.crop": 16,
    "data.workers": 0,
    "batch_size": 8,
    "eval_batch_size": 8,
    "steps": 1,
    "log_steps": 1,
}
ATTENTION = {"model.variant": "attention", "optim.attention.budget": 0.25}
# Space and time, learned or fixed: the flags in docs/rubiksnet.md.
NETWORKS = {
    "learned-learned": ATTENTION,
    "learned-fixed": {"model.time": "fixed"},
    "fixed-learned": ATTENTION | {"model.space": "fixed"},
    "fixed-fixed": {"model.space": "fixed", "model.time": "fixed"},
}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Both data sets in miniature, as `vidshift prepare` writes them."""
    from tests.data.preparation.test_prepare import one_process
    from vidshift.data.preparation import build

    folder = tmp_path_factory.mktemp("table4")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "results", one_process)
        for name in ("kinetics400", "hmdb51"):
            make(name, folder / name, grey_video(), None)
            given = [f"--source={folder / name}", f"--out={folder / 'datasets'}"]
            assert cli.run(["prepare", name, *given]) == 0
    return folder / "datasets"


def train(config, workdir, records, fields, capsys) -> str:
    fields = SMALL | {"data.dir": records} | fields
    flags = [f"--config.{name}={value}" for name, value in fields.items()]
    code = cli.run(["train", f"--config={config}", f"--workdir={workdir}", *flags])
    out, err = capsys.readouterr()
    assert code == 0, err
    return out


@pytest.mark.slow
@pytest.mark.exhaustive(but=("learned-learned",))
@pytest.mark.parametrize("network", NETWORKS)
def test_a_cell_of_the_table(network, records, tmp_path, capsys):
    flags = NETWORKS[network]
    kinetics, hmdb = tmp_path / "kinetics", tmp_path / "hmdb"
    train("kinetics_rubiksnet", kinetics, records, flags, capsys)
    out = train("hmdb51_rubiksnet", hmdb, records, flags | {"init": kinetics}, capsys)
    assert "\n  new, since the classes differ: fc.bias, fc.kernel" in out
    assert "dropped" not in out
    # Batch norms are frozen; shifts wait for the end of their warm-up.
    (before, stats), (after, now) = (Run.open(x).weights() for x in (kinetics, hmdb))
    for name in stats.keys() - {n for n in stats if n.endswith("temperature")}:
        assert (stats[name] == now[name]).all(), name
    for name in before.keys() - {"fc.bias", "fc.kernel"}:
        stays = ".norm." in name or name.startswith("norm.") or ".shift." in name
        assert stays == (before[name] == after[name]).all(), name


@pytest.mark.slow
@pytest.mark.exhaustive
def test_attention_from_an_interpolated_network(records, tmp_path, capsys):
    kinetics, hmdb = tmp_path / "kinetics", tmp_path / "hmdb"
    train("kinetics_rubiksnet", kinetics, records, {}, capsys)
    fields = ATTENTION | {"init": kinetics}
    out = train("hmdb51_rubiksnet", hmdb, records, fields, capsys)
    assert "  rows h, w from there; row t dropped for an attention: 3 x stages" in out
    assert "\n  the attention starts from U[1, 1.05] (attention_init=paper)\n" in out
