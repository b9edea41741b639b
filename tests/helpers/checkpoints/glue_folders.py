"""Small GLUE folders: files in the format of the benchmark's download, with two to four rows."""

from __future__ import annotations

from pathlib import Path

# Lines of each file, by folder and file name. Unused columns contain a dash.
MNLI_HEADER = (
    "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\t"
    "sentence2_parse\tsentence1\tsentence2\tlabel1\tgold_label"
)


def mnli_row(index: int, first: str, second: str, label: str) -> str:
    return "\t".join([str(index), *"-------", first, second, label, label])


FILES: dict[str, dict[str, list[str]]] = {
    "CoLA": {
        "train.tsv": ["gj04\t1\t\tThe boat sank.", "gj04\t0\t*\tSank boat the."],
        "dev.tsv": ["gj04\t1\t\tShe left.", "gj04\t0\t*\tLeft she the."],
        "test.tsv": ["index\tsentence", "0\tHe slept.", "1\tSlept the he."],
    },
    "SST-2": {
        "train.tsv": ["sentence\tlabel", "a joy \t1", 'dull and "long" \t0'],
        "dev.tsv": ["sentence\tlabel", "moving \t1", "a bore \t0"],
        "test.tsv": ["index\tsentence", "0\tfine work", "1\tno good"],
    },
    "MRPC": {
        "train.tsv": [
            "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String",
            "1\t7\t8\tHe came .\tHe arrived .",
            "0\t9\t1\tA\tB",
        ],
        "dev.tsv": ["Quality\t#1 ID\t#2 ID\t#1 String\t#2 String", "1\t7\t8\tIt fell .\tIt dropped ."],
        "test.tsv": ["index\t#1 ID\t#2 ID\t#1 String\t#2 String", "0\t7\t8\tOne .\tTwo ."],
    },
    "STS-B": {
        "train.tsv": [
            "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore",
            "0\t-\t-\t-\t-\t-\t-\tA dog runs.\tA dog is running.\t4.800",
            "1\t-\t-\t-\t-\t-\t-\tA dog runs.\tIt rains.\t0.000",
        ],
        "dev.tsv": [
            "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore",
            "0\t-\t-\t-\t-\t-\t-\tA cat.\tA pet.\t2.5",
        ],
        "test.tsv": [
            "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2",
            "0\t-\t-\t-\t-\t-\t-\tA cat.\tA hat.",
        ],
    },
    "QQP": {
        # The second row is incomplete, as some rows of the benchmark are.
        "train.tsv": [
            "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
            "1\t2\t3\tWho?\tWho is it?\t1",
            "4\t5\t6\tWhy?",
            "7\t8\t9\tWhen?\tWhere?\t0",
        ],
        "dev.tsv": ["id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate", "1\t2\t3\tHow?\tIn what way?\t1"],
        "test.tsv": ["id\tquestion1\tquestion2", "0\tWhat?\tWhich?"],
    },
    "MNLI": {
        "train.tsv": [
            MNLI_HEADER,
            mnli_row(0, "He sleeps.", "He rests.", "entailment"),
            mnli_row(1, "He sleeps.", "He runs.", "contradiction"),
        ],
        "dev_matched.tsv": [MNLI_HEADER, mnli_row(0, "It rains.", "It is wet.", "neutral")],
        "dev_mismatched.tsv": [MNLI_HEADER, mnli_row(0, "It snows.", "It is hot.", "contradiction")],
        "test_matched.tsv": ["index\tsentence1\tsentence2", "0\tA.\tB."],
        "test_mismatched.tsv": ["index\tsentence1\tsentence2", "0\tC.\tD.", "1\tE.\tF."],
    },
    "QNLI": {
        "train.tsv": [
            "index\tquestion\tsentence\tlabel",
            "0\tWho?\tAda.\tentailment",
            "1\tWho?\tRain.\tnot_entailment",
        ],
        "dev.tsv": ["index\tquestion\tsentence\tlabel", "0\tWhat?\tA car.\tentailment"],
        "test.tsv": ["index\tquestion\tsentence", "0\tWhen?\tNow."],
    },
    "RTE": {
        "train.tsv": ["index\tsentence1\tsentence2\tlabel", "0\tAll.\tSome.\tentailment", "1\tA.\tB.\tnot_entailment"],
        "dev.tsv": ["index\tsentence1\tsentence2\tlabel", "0\tNone.\tAll.\tnot_entailment"],
        "test.tsv": ["index\tsentence1\tsentence2", "0\tOne.\tTwo."],
    },
    "WNLI": {
        "train.tsv": ["index\tsentence1\tsentence2\tlabel", "0\tIt fit.\tThe box fit.\t1", "1\tA.\tB.\t0"],
        "dev.tsv": ["index\tsentence1\tsentence2\tlabel", "0\tShe won.\tAda won.\t0"],
        "test.tsv": ["index\tsentence1\tsentence2", "0\tHe left.\tBob left."],
    },
    "diagnostic": {
        "diagnostic.tsv": ["index\tsentence1\tsentence2", "0\tIt is.\tIt is not."],
    },
}


def write_glue(folder: Path) -> Path:
    """Writes all folders and returns their parent."""
    for task, files in FILES.items():
        (folder / task).mkdir(parents=True)
        for name, lines in files.items():
            (folder / task / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
