import pytest

from vidshift.kernels.analysis import sass

TEXT = """
.text.kernel:
        /*0000*/                   S2R R0, SR_TID.X ;
        /*0010*/               @P0 BRA `(.L_x_2) ;
.L_x_0:
        /*0020*/                   LDG.E R2, desc[UR4][R2.64] ;
        /*0030*/                   FADD R2, R2, R3 ;
        /*0040*/              @!P1 BRA `(.L_x_0) ;
.L_x_2:
        /*0050*/              @!P0 STG.E.U16 desc[UR4][R4.64], R2 ;
        /*0060*/                   EXIT ;
.L_x_3:
        /*0070*/                   BRA `(.L_x_3);
        /*0080*/                   NOP;
"""


def test_a_loop_counts_at_each_pass():
    code = sass.parse(TEXT)
    assert code.loops == [(2, 4)]
    assert [sass.opcode(i) for i in code.instructions] == [
        *("S2R", "BRA", "LDG.E", "FADD", "BRA", "STG.E.U16", "EXIT")
    ]
    assert sass.executed(code, 2.5) == 4 + 3 * 2.5
    assert sass.executed(code, None) is None
    assert sass.narrow(code) == 1


def test_a_loop_within_a_loop_is_not_counted():
    nested = TEXT.replace("EXIT ;", "@P2 BRA `(.L_x_0) ;", 1)
    assert sass.executed(sass.parse(nested), 2) is None


@pytest.mark.parametrize(
    ("registers", "warps", "shared_bytes", "programs"),
    [
        (128, 4, 0, 4),
        (129, 4, 0, 3),  # handed out by eight
        (32, 4, 0, 16),  # 2,048 threads
        (32, 1, 0, 32),
        (64, 4, 100 * 1024, 2),
    ],
)
def test_programs_of_a_core(registers, warps, shared_bytes, programs):
    assert sass.programs_an_sm(registers, warps, shared_bytes) == programs
