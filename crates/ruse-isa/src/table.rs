//! The table: one row describes one instruction, and everything else is made from the rows.

/// Calls the macro `$cb` with every instruction, grouped by the file that holds its semantics:
///
/// ```text
/// [group] Variant function "mnemonic" "pattern" Availability; ...
/// ```
///
/// so that a callback of this form matches:
///
/// ```
/// macro_rules! count {
///     ($( [$module:ident]
///         $( $variant:ident $function:ident $mnemonic:literal $pattern:literal $xlen:ident ; )* )*) => {
///         [$( $( stringify!($module::$function) ),* ),*].len()
///     };
/// }
/// assert_eq!(ruse_isa::for_each_instruction!(count), ruse_isa::Opcode::COUNT);
/// ```
///
/// The groups are `i`, `m`, `a`, `f`, `d`, `zicsr`, `privileged`, `zba`, `zbb`, `zbs`, `zbc`, `zicond`,
/// `zfh`, `zfa`, `zicbo`, `zacas` and `zawrs`; the availability is `Rv32`, `Rv64` or `Both`; a pattern
/// is written in the notation of the manual's encoding tables (`format.rs` explains it). Rows may
/// overlap only where the manual says so: the more specific row wins.
#[macro_export]
macro_rules! for_each_instruction {
    ($cb:ident) => {
        $cb! {
            // RV32I, RV64I and Zifencei (unprivileged manual, chapters 2, 4 and 6).
            [i]
            Lui           lui           "lui"             "upper[31:12] rd 0110111" Both;
            Auipc         auipc         "auipc"           "upper[31:12] rd 0010111" Both;
            Jal           jal           "jal"             "target[20|10:1|11|19:12] rd 1101111" Both;
            Jalr          jalr          "jalr"            "imm[11:0] base 000 rd 1100111" Both;
            Beq           beq           "beq"             "target[12|10:5] rs2 rs1 000 target[4:1|11] 1100011" Both;
            Bne           bne           "bne"             "target[12|10:5] rs2 rs1 001 target[4:1|11] 1100011" Both;
            Blt           blt           "blt"             "target[12|10:5] rs2 rs1 100 target[4:1|11] 1100011" Both;
            Bge           bge           "bge"             "target[12|10:5] rs2 rs1 101 target[4:1|11] 1100011" Both;
            Bltu          bltu          "bltu"            "target[12|10:5] rs2 rs1 110 target[4:1|11] 1100011" Both;
            Bgeu          bgeu          "bgeu"            "target[12|10:5] rs2 rs1 111 target[4:1|11] 1100011" Both;
            Lb            lb            "lb"              "imm[11:0] base 000 rd 0000011" Both;
            Lh            lh            "lh"              "imm[11:0] base 001 rd 0000011" Both;
            Lw            lw            "lw"              "imm[11:0] base 010 rd 0000011" Both;
            Ld            ld            "ld"              "imm[11:0] base 011 rd 0000011" Rv64;
            Lbu           lbu           "lbu"             "imm[11:0] base 100 rd 0000011" Both;
            Lhu           lhu           "lhu"             "imm[11:0] base 101 rd 0000011" Both;
            Lwu           lwu           "lwu"             "imm[11:0] base 110 rd 0000011" Rv64;
            Sb            sb            "sb"              "imm[11:5] rs2 base 000 imm[4:0] 0100011" Both;
            Sh            sh            "sh"              "imm[11:5] rs2 base 001 imm[4:0] 0100011" Both;
            Sw            sw            "sw"              "imm[11:5] rs2 base 010 imm[4:0] 0100011" Both;
            Sd            sd            "sd"              "imm[11:5] rs2 base 011 imm[4:0] 0100011" Rv64;
            Addi          addi          "addi"            "imm[11:0] rs1 000 rd 0010011" Both;
            Slti          slti          "slti"            "imm[11:0] rs1 010 rd 0010011" Both;
            Sltiu         sltiu         "sltiu"           "imm[11:0] rs1 011 rd 0010011" Both;
            Xori          xori          "xori"            "imm[11:0] rs1 100 rd 0010011" Both;
            Ori           ori           "ori"             "imm[11:0] rs1 110 rd 0010011" Both;
            Andi          andi          "andi"            "imm[11:0] rs1 111 rd 0010011" Both;
            Slli          slli          "slli"            "000000 shamt[5:0] rs1 001 rd 0010011" Both;
            Srli          srli          "srli"            "000000 shamt[5:0] rs1 101 rd 0010011" Both;
            Srai          srai          "srai"            "010000 shamt[5:0] rs1 101 rd 0010011" Both;
            Add           add           "add"             "0000000 rs2 rs1 000 rd 0110011" Both;
            Sub           sub           "sub"             "0100000 rs2 rs1 000 rd 0110011" Both;
            Sll           sll           "sll"             "0000000 rs2 rs1 001 rd 0110011" Both;
            Slt           slt           "slt"             "0000000 rs2 rs1 010 rd 0110011" Both;
            Sltu          sltu          "sltu"            "0000000 rs2 rs1 011 rd 0110011" Both;
            Xor           xor           "xor"             "0000000 rs2 rs1 100 rd 0110011" Both;
            Srl           srl           "srl"             "0000000 rs2 rs1 101 rd 0110011" Both;
            Sra           sra           "sra"             "0100000 rs2 rs1 101 rd 0110011" Both;
            Or            or            "or"              "0000000 rs2 rs1 110 rd 0110011" Both;
            And           and           "and"             "0000000 rs2 rs1 111 rd 0110011" Both;
            Addiw         addiw         "addiw"           "imm[11:0] rs1 000 rd 0011011" Rv64;
            Slliw         slliw         "slliw"           "0000000 shamt[4:0] rs1 001 rd 0011011" Rv64;
            Srliw         srliw         "srliw"           "0000000 shamt[4:0] rs1 101 rd 0011011" Rv64;
            Sraiw         sraiw         "sraiw"           "0100000 shamt[4:0] rs1 101 rd 0011011" Rv64;
            Addw          addw          "addw"            "0000000 rs2 rs1 000 rd 0111011" Rv64;
            Subw          subw          "subw"            "0100000 rs2 rs1 000 rd 0111011" Rv64;
            Sllw          sllw          "sllw"            "0000000 rs2 rs1 001 rd 0111011" Rv64;
            Srlw          srlw          "srlw"            "0000000 rs2 rs1 101 rd 0111011" Rv64;
            Sraw          sraw          "sraw"            "0100000 rs2 rs1 101 rd 0111011" Rv64;
            Fence         fence         "fence"           "fence[11:0] ----- 000 ----- 0001111" Both;
            Pause         pause         "pause"           "0000 0001 0000 00000 000 00000 0001111" Both;
            FenceI        fence_i       "fence.i"         "------------ ----- 001 ----- 0001111" Both;
            Ecall         ecall         "ecall"           "000000000000 00000 000 00000 1110011" Both;
            Ebreak        ebreak        "ebreak"          "000000000001 00000 000 00000 1110011" Both;

            // M: integer multiplication and division (chapter 12).
            [m]
            Mul           mul           "mul"             "0000001 rs2 rs1 000 rd 0110011" Both;
            Mulh          mulh          "mulh"            "0000001 rs2 rs1 001 rd 0110011" Both;
            Mulhsu        mulhsu        "mulhsu"          "0000001 rs2 rs1 010 rd 0110011" Both;
            Mulhu         mulhu         "mulhu"           "0000001 rs2 rs1 011 rd 0110011" Both;
            Div           div           "div"             "0000001 rs2 rs1 100 rd 0110011" Both;
            Divu          divu          "divu"            "0000001 rs2 rs1 101 rd 0110011" Both;
            Rem           rem           "rem"             "0000001 rs2 rs1 110 rd 0110011" Both;
            Remu          remu          "remu"            "0000001 rs2 rs1 111 rd 0110011" Both;
            Mulw          mulw          "mulw"            "0000001 rs2 rs1 000 rd 0111011" Rv64;
            Divw          divw          "divw"            "0000001 rs2 rs1 100 rd 0111011" Rv64;
            Divuw         divuw         "divuw"           "0000001 rs2 rs1 101 rd 0111011" Rv64;
            Remw          remw          "remw"            "0000001 rs2 rs1 110 rd 0111011" Rv64;
            Remuw         remuw         "remuw"           "0000001 rs2 rs1 111 rd 0111011" Rv64;

            // A: Zalrsc and Zaamo (chapter 13).
            [a]
            LrW           lr_w          "lr.w"            "00010 aqrl[1:0] 00000 base 010 rd 0101111" Both;
            ScW           sc_w          "sc.w"            "00011 aqrl[1:0] rs2 base 010 rd 0101111" Both;
            AmoswapW      amoswap_w     "amoswap.w"       "00001 aqrl[1:0] rs2 base 010 rd 0101111" Both;
            AmoaddW       amoadd_w      "amoadd.w"        "00000 aqrl[1:0] rs2 base 010 rd 0101111" Both;
            AmoxorW       amoxor_w      "amoxor.w"        "00100 aqrl[1:0] rs2 base 010 rd 0101111" Both;
            AmoandW       amoand_w      "amoand.w"        "01100 aqrl[1:0] rs2 base 010 rd 0101111" Both;
            AmoorW        amoor_w       "amoor.w"         "01000 aqrl[1:0] rs2 base 010 rd 0101111" Both;
            AmominW       amomin_w      "amomin.w"        "10000 aqrl[1:0] rs2 base 010 rd 0101111" Both;
            AmomaxW       amomax_w      "amomax.w"        "10100 aqrl[1:0] rs2 base 010 rd 0101111" Both;
            AmominuW      amominu_w     "amominu.w"       "11000 aqrl[1:0] rs2 base 010 rd 0101111" Both;
            AmomaxuW      amomaxu_w     "amomaxu.w"       "11100 aqrl[1:0] rs2 base 010 rd 0101111" Both;
            LrD           lr_d          "lr.d"            "00010 aqrl[1:0] 00000 base 011 rd 0101111" Rv64;
            ScD           sc_d          "sc.d"            "00011 aqrl[1:0] rs2 base 011 rd 0101111" Rv64;
            AmoswapD      amoswap_d     "amoswap.d"       "00001 aqrl[1:0] rs2 base 011 rd 0101111" Rv64;
            AmoaddD       amoadd_d      "amoadd.d"        "00000 aqrl[1:0] rs2 base 011 rd 0101111" Rv64;
            AmoxorD       amoxor_d      "amoxor.d"        "00100 aqrl[1:0] rs2 base 011 rd 0101111" Rv64;
            AmoandD       amoand_d      "amoand.d"        "01100 aqrl[1:0] rs2 base 011 rd 0101111" Rv64;
            AmoorD        amoor_d       "amoor.d"         "01000 aqrl[1:0] rs2 base 011 rd 0101111" Rv64;
            AmominD       amomin_d      "amomin.d"        "10000 aqrl[1:0] rs2 base 011 rd 0101111" Rv64;
            AmomaxD       amomax_d      "amomax.d"        "10100 aqrl[1:0] rs2 base 011 rd 0101111" Rv64;
            AmominuD      amominu_d     "amominu.d"       "11000 aqrl[1:0] rs2 base 011 rd 0101111" Rv64;
            AmomaxuD      amomaxu_d     "amomaxu.d"       "11100 aqrl[1:0] rs2 base 011 rd 0101111" Rv64;

            // F: single precision (chapter 20).
            [f]
            Flw           flw           "flw"             "imm[11:0] base 010 fd 0000111" Both;
            Fsw           fsw           "fsw"             "imm[11:5] fs2 base 010 imm[4:0] 0100111" Both;
            FmaddS        fmadd_s       "fmadd.s"         "fs3 00 fs2 fs1 rm fd 1000011" Both;
            FmsubS        fmsub_s       "fmsub.s"         "fs3 00 fs2 fs1 rm fd 1000111" Both;
            FnmsubS       fnmsub_s      "fnmsub.s"        "fs3 00 fs2 fs1 rm fd 1001011" Both;
            FnmaddS       fnmadd_s      "fnmadd.s"        "fs3 00 fs2 fs1 rm fd 1001111" Both;
            FaddS         fadd_s        "fadd.s"          "00000 00 fs2 fs1 rm fd 1010011" Both;
            FsubS         fsub_s        "fsub.s"          "00001 00 fs2 fs1 rm fd 1010011" Both;
            FmulS         fmul_s        "fmul.s"          "00010 00 fs2 fs1 rm fd 1010011" Both;
            FdivS         fdiv_s        "fdiv.s"          "00011 00 fs2 fs1 rm fd 1010011" Both;
            FsqrtS        fsqrt_s       "fsqrt.s"         "01011 00 00000 fs1 rm fd 1010011" Both;
            FsgnjS        fsgnj_s       "fsgnj.s"         "00100 00 fs2 fs1 000 fd 1010011" Both;
            FsgnjnS       fsgnjn_s      "fsgnjn.s"        "00100 00 fs2 fs1 001 fd 1010011" Both;
            FsgnjxS       fsgnjx_s      "fsgnjx.s"        "00100 00 fs2 fs1 010 fd 1010011" Both;
            FminS         fmin_s        "fmin.s"          "00101 00 fs2 fs1 000 fd 1010011" Both;
            FmaxS         fmax_s        "fmax.s"          "00101 00 fs2 fs1 001 fd 1010011" Both;
            FeqS          feq_s         "feq.s"           "10100 00 fs2 fs1 010 rd 1010011" Both;
            FltS          flt_s         "flt.s"           "10100 00 fs2 fs1 001 rd 1010011" Both;
            FleS          fle_s         "fle.s"           "10100 00 fs2 fs1 000 rd 1010011" Both;
            FclassS       fclass_s      "fclass.s"        "11100 00 00000 fs1 001 rd 1010011" Both;
            FcvtWS        fcvt_w_s      "fcvt.w.s"        "11000 00 00000 fs1 rm rd 1010011" Both;
            FcvtWuS       fcvt_wu_s     "fcvt.wu.s"       "11000 00 00001 fs1 rm rd 1010011" Both;
            FcvtLS        fcvt_l_s      "fcvt.l.s"        "11000 00 00010 fs1 rm rd 1010011" Rv64;
            FcvtLuS       fcvt_lu_s     "fcvt.lu.s"       "11000 00 00011 fs1 rm rd 1010011" Rv64;
            FcvtSW        fcvt_s_w      "fcvt.s.w"        "11010 00 00000 rs1 rm fd 1010011" Both;
            FcvtSWu       fcvt_s_wu     "fcvt.s.wu"       "11010 00 00001 rs1 rm fd 1010011" Both;
            FcvtSL        fcvt_s_l      "fcvt.s.l"        "11010 00 00010 rs1 rm fd 1010011" Rv64;
            FcvtSLu       fcvt_s_lu     "fcvt.s.lu"       "11010 00 00011 rs1 rm fd 1010011" Rv64;
            FmvXW         fmv_x_w       "fmv.x.w"         "11100 00 00000 fs1 000 rd 1010011" Both;
            FmvWX         fmv_w_x       "fmv.w.x"         "11110 00 00000 rs1 000 fd 1010011" Both;

            // D: double precision (chapter 21).
            [d]
            Fld           fld           "fld"             "imm[11:0] base 011 fd 0000111" Both;
            Fsd           fsd           "fsd"             "imm[11:5] fs2 base 011 imm[4:0] 0100111" Both;
            FmaddD        fmadd_d       "fmadd.d"         "fs3 01 fs2 fs1 rm fd 1000011" Both;
            FmsubD        fmsub_d       "fmsub.d"         "fs3 01 fs2 fs1 rm fd 1000111" Both;
            FnmsubD       fnmsub_d      "fnmsub.d"        "fs3 01 fs2 fs1 rm fd 1001011" Both;
            FnmaddD       fnmadd_d      "fnmadd.d"        "fs3 01 fs2 fs1 rm fd 1001111" Both;
            FaddD         fadd_d        "fadd.d"          "00000 01 fs2 fs1 rm fd 1010011" Both;
            FsubD         fsub_d        "fsub.d"          "00001 01 fs2 fs1 rm fd 1010011" Both;
            FmulD         fmul_d        "fmul.d"          "00010 01 fs2 fs1 rm fd 1010011" Both;
            FdivD         fdiv_d        "fdiv.d"          "00011 01 fs2 fs1 rm fd 1010011" Both;
            FsqrtD        fsqrt_d       "fsqrt.d"         "01011 01 00000 fs1 rm fd 1010011" Both;
            FsgnjD        fsgnj_d       "fsgnj.d"         "00100 01 fs2 fs1 000 fd 1010011" Both;
            FsgnjnD       fsgnjn_d      "fsgnjn.d"        "00100 01 fs2 fs1 001 fd 1010011" Both;
            FsgnjxD       fsgnjx_d      "fsgnjx.d"        "00100 01 fs2 fs1 010 fd 1010011" Both;
            FminD         fmin_d        "fmin.d"          "00101 01 fs2 fs1 000 fd 1010011" Both;
            FmaxD         fmax_d        "fmax.d"          "00101 01 fs2 fs1 001 fd 1010011" Both;
            FeqD          feq_d         "feq.d"           "10100 01 fs2 fs1 010 rd 1010011" Both;
            FltD          flt_d         "flt.d"           "10100 01 fs2 fs1 001 rd 1010011" Both;
            FleD          fle_d         "fle.d"           "10100 01 fs2 fs1 000 rd 1010011" Both;
            FclassD       fclass_d      "fclass.d"        "11100 01 00000 fs1 001 rd 1010011" Both;
            FcvtWD        fcvt_w_d      "fcvt.w.d"        "11000 01 00000 fs1 rm rd 1010011" Both;
            FcvtWuD       fcvt_wu_d     "fcvt.wu.d"       "11000 01 00001 fs1 rm rd 1010011" Both;
            FcvtLD        fcvt_l_d      "fcvt.l.d"        "11000 01 00010 fs1 rm rd 1010011" Rv64;
            FcvtLuD       fcvt_lu_d     "fcvt.lu.d"       "11000 01 00011 fs1 rm rd 1010011" Rv64;
            FcvtDW        fcvt_d_w      "fcvt.d.w"        "11010 01 00000 rs1 rm fd 1010011" Both;
            FcvtDWu       fcvt_d_wu     "fcvt.d.wu"       "11010 01 00001 rs1 rm fd 1010011" Both;
            FcvtDL        fcvt_d_l      "fcvt.d.l"        "11010 01 00010 rs1 rm fd 1010011" Rv64;
            FcvtDLu       fcvt_d_lu     "fcvt.d.lu"       "11010 01 00011 rs1 rm fd 1010011" Rv64;
            FmvXD         fmv_x_d       "fmv.x.d"         "11100 01 00000 fs1 000 rd 1010011" Rv64;
            FmvDX         fmv_d_x       "fmv.d.x"         "11110 01 00000 rs1 000 fd 1010011" Rv64;
            FcvtSD        fcvt_s_d      "fcvt.s.d"        "01000 00 00001 fs1 rm fd 1010011" Both;
            FcvtDS        fcvt_d_s      "fcvt.d.s"        "01000 01 00000 fs1 rm fd 1010011" Both;

            // Zicsr: control and status registers (chapter 7).
            [zicsr]
            Csrrw         csrrw         "csrrw"           "csr[11:0] rs1 001 rd 1110011" Both;
            Csrrs         csrrs         "csrrs"           "csr[11:0] rs1 010 rd 1110011" Both;
            Csrrc         csrrc         "csrrc"           "csr[11:0] rs1 011 rd 1110011" Both;
            Csrrwi        csrrwi        "csrrwi"          "csr[11:0] zimm 101 rd 1110011" Both;
            Csrrsi        csrrsi        "csrrsi"          "csr[11:0] zimm 110 rd 1110011" Both;
            Csrrci        csrrci        "csrrci"          "csr[11:0] zimm 111 rd 1110011" Both;

            // The privileged manual: trap returns, WFI, SFENCE.VMA and Svinval.
            [privileged]
            Sret          sret          "sret"            "0001000 00010 00000 000 00000 1110011" Both;
            Mret          mret          "mret"            "0011000 00010 00000 000 00000 1110011" Both;
            Wfi           wfi           "wfi"             "0001000 00101 00000 000 00000 1110011" Both;
            SfenceVma     sfence_vma    "sfence.vma"      "0001001 rs2 rs1 000 00000 1110011" Both;
            SinvalVma     sinval_vma    "sinval.vma"      "0001011 rs2 rs1 000 00000 1110011" Both;
            SfenceWInval  sfence_w_inval "sfence.w.inval"  "0001100 00000 00000 000 00000 1110011" Both;
            SfenceInvalIr sfence_inval_ir "sfence.inval.ir" "0001100 00001 00000 000 00000 1110011" Both;

            // Zba: address generation (chapter 28).
            [zba]
            Sh1add        sh1add        "sh1add"          "0010000 rs2 rs1 010 rd 0110011" Both;
            Sh2add        sh2add        "sh2add"          "0010000 rs2 rs1 100 rd 0110011" Both;
            Sh3add        sh3add        "sh3add"          "0010000 rs2 rs1 110 rd 0110011" Both;
            AddUw         add_uw        "add.uw"          "0000100 rs2 rs1 000 rd 0111011" Rv64;
            Sh1addUw      sh1add_uw     "sh1add.uw"       "0010000 rs2 rs1 010 rd 0111011" Rv64;
            Sh2addUw      sh2add_uw     "sh2add.uw"       "0010000 rs2 rs1 100 rd 0111011" Rv64;
            Sh3addUw      sh3add_uw     "sh3add.uw"       "0010000 rs2 rs1 110 rd 0111011" Rv64;
            SlliUw        slli_uw       "slli.uw"         "000010 shamt[5:0] rs1 001 rd 0011011" Rv64;

            // Zbb: basic bit manipulation.
            [zbb]
            Andn          andn          "andn"            "0100000 rs2 rs1 111 rd 0110011" Both;
            Orn           orn           "orn"             "0100000 rs2 rs1 110 rd 0110011" Both;
            Xnor          xnor          "xnor"            "0100000 rs2 rs1 100 rd 0110011" Both;
            Clz           clz           "clz"             "0110000 00000 rs1 001 rd 0010011" Both;
            Ctz           ctz           "ctz"             "0110000 00001 rs1 001 rd 0010011" Both;
            Cpop          cpop          "cpop"            "0110000 00010 rs1 001 rd 0010011" Both;
            Clzw          clzw          "clzw"            "0110000 00000 rs1 001 rd 0011011" Rv64;
            Ctzw          ctzw          "ctzw"            "0110000 00001 rs1 001 rd 0011011" Rv64;
            Cpopw         cpopw         "cpopw"           "0110000 00010 rs1 001 rd 0011011" Rv64;
            Max           max           "max"             "0000101 rs2 rs1 110 rd 0110011" Both;
            Maxu          maxu          "maxu"            "0000101 rs2 rs1 111 rd 0110011" Both;
            Min           min           "min"             "0000101 rs2 rs1 100 rd 0110011" Both;
            Minu          minu          "minu"            "0000101 rs2 rs1 101 rd 0110011" Both;
            SextB         sext_b        "sext.b"          "0110000 00100 rs1 001 rd 0010011" Both;
            SextH         sext_h        "sext.h"          "0110000 00101 rs1 001 rd 0010011" Both;
            ZextH         zext_h        "zext.h"          "0000100 00000 rs1 100 rd 0111011" Rv64;
            ZextHRv32     zext_h_rv32   "zext.h"          "0000100 00000 rs1 100 rd 0110011" Rv32;
            Rol           rol           "rol"             "0110000 rs2 rs1 001 rd 0110011" Both;
            Rolw          rolw          "rolw"            "0110000 rs2 rs1 001 rd 0111011" Rv64;
            Ror           ror           "ror"             "0110000 rs2 rs1 101 rd 0110011" Both;
            Rori          rori          "rori"            "011000 shamt[5:0] rs1 101 rd 0010011" Both;
            Roriw         roriw         "roriw"           "0110000 shamt[4:0] rs1 101 rd 0011011" Rv64;
            Rorw          rorw          "rorw"            "0110000 rs2 rs1 101 rd 0111011" Rv64;
            OrcB          orc_b         "orc.b"           "0010100 00111 rs1 101 rd 0010011" Both;
            Rev8          rev8          "rev8"            "0110101 11000 rs1 101 rd 0010011" Rv64;
            Rev8Rv32      rev8_rv32     "rev8"            "0110100 11000 rs1 101 rd 0010011" Rv32;

            // Zbs: single-bit instructions.
            [zbs]
            Bclr          bclr          "bclr"            "0100100 rs2 rs1 001 rd 0110011" Both;
            Bclri         bclri         "bclri"           "010010 shamt[5:0] rs1 001 rd 0010011" Both;
            Bext          bext          "bext"            "0100100 rs2 rs1 101 rd 0110011" Both;
            Bexti         bexti         "bexti"           "010010 shamt[5:0] rs1 101 rd 0010011" Both;
            Binv          binv          "binv"            "0110100 rs2 rs1 001 rd 0110011" Both;
            Binvi         binvi         "binvi"           "011010 shamt[5:0] rs1 001 rd 0010011" Both;
            Bset          bset          "bset"            "0010100 rs2 rs1 001 rd 0110011" Both;
            Bseti         bseti         "bseti"           "001010 shamt[5:0] rs1 001 rd 0010011" Both;

            // Zbc: carry-less multiplication.
            [zbc]
            Clmul         clmul         "clmul"           "0000101 rs2 rs1 001 rd 0110011" Both;
            Clmulh        clmulh        "clmulh"          "0000101 rs2 rs1 011 rd 0110011" Both;
            Clmulr        clmulr        "clmulr"          "0000101 rs2 rs1 010 rd 0110011" Both;

            // Zicond: integer conditional operations.
            [zicond]
            CzeroEqz      czero_eqz     "czero.eqz"       "0000111 rs2 rs1 101 rd 0110011" Both;
            CzeroNez      czero_nez     "czero.nez"       "0000111 rs2 rs1 111 rd 0110011" Both;

            // Zfh: half precision.
            [zfh]
            Flh           flh           "flh"             "imm[11:0] base 001 fd 0000111" Both;
            Fsh           fsh           "fsh"             "imm[11:5] fs2 base 001 imm[4:0] 0100111" Both;
            FmaddH        fmadd_h       "fmadd.h"         "fs3 10 fs2 fs1 rm fd 1000011" Both;
            FmsubH        fmsub_h       "fmsub.h"         "fs3 10 fs2 fs1 rm fd 1000111" Both;
            FnmsubH       fnmsub_h      "fnmsub.h"        "fs3 10 fs2 fs1 rm fd 1001011" Both;
            FnmaddH       fnmadd_h      "fnmadd.h"        "fs3 10 fs2 fs1 rm fd 1001111" Both;
            FaddH         fadd_h        "fadd.h"          "00000 10 fs2 fs1 rm fd 1010011" Both;
            FsubH         fsub_h        "fsub.h"          "00001 10 fs2 fs1 rm fd 1010011" Both;
            FmulH         fmul_h        "fmul.h"          "00010 10 fs2 fs1 rm fd 1010011" Both;
            FdivH         fdiv_h        "fdiv.h"          "00011 10 fs2 fs1 rm fd 1010011" Both;
            FsqrtH        fsqrt_h       "fsqrt.h"         "01011 10 00000 fs1 rm fd 1010011" Both;
            FsgnjH        fsgnj_h       "fsgnj.h"         "00100 10 fs2 fs1 000 fd 1010011" Both;
            FsgnjnH       fsgnjn_h      "fsgnjn.h"        "00100 10 fs2 fs1 001 fd 1010011" Both;
            FsgnjxH       fsgnjx_h      "fsgnjx.h"        "00100 10 fs2 fs1 010 fd 1010011" Both;
            FminH         fmin_h        "fmin.h"          "00101 10 fs2 fs1 000 fd 1010011" Both;
            FmaxH         fmax_h        "fmax.h"          "00101 10 fs2 fs1 001 fd 1010011" Both;
            FeqH          feq_h         "feq.h"           "10100 10 fs2 fs1 010 rd 1010011" Both;
            FltH          flt_h         "flt.h"           "10100 10 fs2 fs1 001 rd 1010011" Both;
            FleH          fle_h         "fle.h"           "10100 10 fs2 fs1 000 rd 1010011" Both;
            FclassH       fclass_h      "fclass.h"        "11100 10 00000 fs1 001 rd 1010011" Both;
            FcvtWH        fcvt_w_h      "fcvt.w.h"        "11000 10 00000 fs1 rm rd 1010011" Both;
            FcvtWuH       fcvt_wu_h     "fcvt.wu.h"       "11000 10 00001 fs1 rm rd 1010011" Both;
            FcvtLH        fcvt_l_h      "fcvt.l.h"        "11000 10 00010 fs1 rm rd 1010011" Rv64;
            FcvtLuH       fcvt_lu_h     "fcvt.lu.h"       "11000 10 00011 fs1 rm rd 1010011" Rv64;
            FcvtHW        fcvt_h_w      "fcvt.h.w"        "11010 10 00000 rs1 rm fd 1010011" Both;
            FcvtHWu       fcvt_h_wu     "fcvt.h.wu"       "11010 10 00001 rs1 rm fd 1010011" Both;
            FcvtHL        fcvt_h_l      "fcvt.h.l"        "11010 10 00010 rs1 rm fd 1010011" Rv64;
            FcvtHLu       fcvt_h_lu     "fcvt.h.lu"       "11010 10 00011 rs1 rm fd 1010011" Rv64;
            FmvXH         fmv_x_h       "fmv.x.h"         "11100 10 00000 fs1 000 rd 1010011" Both;
            FmvHX         fmv_h_x       "fmv.h.x"         "11110 10 00000 rs1 000 fd 1010011" Both;
            FcvtHS        fcvt_h_s      "fcvt.h.s"        "01000 10 00000 fs1 rm fd 1010011" Both;
            FcvtSH        fcvt_s_h      "fcvt.s.h"        "01000 00 00010 fs1 rm fd 1010011" Both;
            FcvtHD        fcvt_h_d      "fcvt.h.d"        "01000 10 00001 fs1 rm fd 1010011" Both;
            FcvtDH        fcvt_d_h      "fcvt.d.h"        "01000 01 00010 fs1 rm fd 1010011" Both;

            // Zfa: additional floating-point instructions.
            [zfa]
            FliS          fli_s         "fli.s"           "11110 00 00001 index 000 fd 1010011" Both;
            FminmS        fminm_s       "fminm.s"         "00101 00 fs2 fs1 010 fd 1010011" Both;
            FmaxmS        fmaxm_s       "fmaxm.s"         "00101 00 fs2 fs1 011 fd 1010011" Both;
            FroundS       fround_s      "fround.s"        "01000 00 00100 fs1 rm fd 1010011" Both;
            FroundnxS     froundnx_s    "froundnx.s"      "01000 00 00101 fs1 rm fd 1010011" Both;
            FleqS         fleq_s        "fleq.s"          "10100 00 fs2 fs1 100 rd 1010011" Both;
            FltqS         fltq_s        "fltq.s"          "10100 00 fs2 fs1 101 rd 1010011" Both;
            FliD          fli_d         "fli.d"           "11110 01 00001 index 000 fd 1010011" Both;
            FminmD        fminm_d       "fminm.d"         "00101 01 fs2 fs1 010 fd 1010011" Both;
            FmaxmD        fmaxm_d       "fmaxm.d"         "00101 01 fs2 fs1 011 fd 1010011" Both;
            FroundD       fround_d      "fround.d"        "01000 01 00100 fs1 rm fd 1010011" Both;
            FroundnxD     froundnx_d    "froundnx.d"      "01000 01 00101 fs1 rm fd 1010011" Both;
            FleqD         fleq_d        "fleq.d"          "10100 01 fs2 fs1 100 rd 1010011" Both;
            FltqD         fltq_d        "fltq.d"          "10100 01 fs2 fs1 101 rd 1010011" Both;
            FliH          fli_h         "fli.h"           "11110 10 00001 index 000 fd 1010011" Both;
            FminmH        fminm_h       "fminm.h"         "00101 10 fs2 fs1 010 fd 1010011" Both;
            FmaxmH        fmaxm_h       "fmaxm.h"         "00101 10 fs2 fs1 011 fd 1010011" Both;
            FroundH       fround_h      "fround.h"        "01000 10 00100 fs1 rm fd 1010011" Both;
            FroundnxH     froundnx_h    "froundnx.h"      "01000 10 00101 fs1 rm fd 1010011" Both;
            FleqH         fleq_h        "fleq.h"          "10100 10 fs2 fs1 100 rd 1010011" Both;
            FltqH         fltq_h        "fltq.h"          "10100 10 fs2 fs1 101 rd 1010011" Both;
            FcvtmodWD     fcvtmod_w_d   "fcvtmod.w.d"     "11000 01 01000 fs1 001 rd 1010011" Both;
            FmvhXD        fmvh_x_d      "fmvh.x.d"        "11100 01 00001 fs1 000 rd 1010011" Rv32;
            FmvpDX        fmvp_d_x      "fmvp.d.x"        "10110 01 rs2 rs1 000 fd 1010011" Rv32;

            // Zicbom, Zicboz and Zicbop: cache-block operations.
            [zicbo]
            CboInval      cbo_inval     "cbo.inval"       "000000000000 base 010 00000 0001111" Both;
            CboClean      cbo_clean     "cbo.clean"       "000000000001 base 010 00000 0001111" Both;
            CboFlush      cbo_flush     "cbo.flush"       "000000000010 base 010 00000 0001111" Both;
            CboZero       cbo_zero      "cbo.zero"        "000000000100 base 010 00000 0001111" Both;
            PrefetchI     prefetch_i    "prefetch.i"      "imm[11:5] 00000 base 110 00000 0010011" Both;
            PrefetchR     prefetch_r    "prefetch.r"      "imm[11:5] 00001 base 110 00000 0010011" Both;
            PrefetchW     prefetch_w    "prefetch.w"      "imm[11:5] 00011 base 110 00000 0010011" Both;

            // Zacas: compare and swap.
            [zacas]
            AmocasW       amocas_w      "amocas.w"        "00101 aqrl[1:0] rs2 base 010 rd 0101111" Both;
            AmocasD       amocas_d      "amocas.d"        "00101 aqrl[1:0] rs2 base 011 rd 0101111" Rv64;
            AmocasDRv32   amocas_d_rv32 "amocas.d"        "00101 aqrl[1:0] rs2pair base 011 rdpair 0101111" Rv32;
            AmocasQ       amocas_q      "amocas.q"        "00101 aqrl[1:0] rs2pair base 100 rdpair 0101111" Rv64;

            // Zawrs: wait on reservation set.
            [zawrs]
            WrsNto        wrs_nto       "wrs.nto"         "000000001101 00000 000 00000 1110011" Both;
            WrsSto        wrs_sto       "wrs.sto"         "000000011101 00000 000 00000 1110011" Both;
        }
    };
}
