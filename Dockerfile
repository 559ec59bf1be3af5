# An image with the pinned packages, the pipeline and the network that ships.
#
#   docker build -t oneshot-vos .
#   docker build -t oneshot-vos --build-arg BASE=pytorch/pytorch:2.14.1-cuda13.0-cudnn9-runtime .
#   docker run --rm --gpus all -v "$PWD:/data" oneshot-vos segment video.mp4 --mask mask.png
#
# The first one starts from Python alone and runs on a CPU, the second has a CUDA of its own. Any base with Python 3.11
# or newer will do.
ARG BASE=python:3.12-slim
# hadolint ignore=DL3006
FROM ${BASE}

# No version of Debian's packages: any base decides that.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends -y git make python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 person

# What the base brings, PyTorch perhaps, counts where it is the pinned version.
RUN python3 -m venv --system-site-packages /opt/venv
ENV PATH="/opt/venv/bin:$PATH"

# The packages by themselves: this layer stays while only the code changes.
COPY requirements.txt /opt/oneshot-vos/requirements.txt
RUN python3 -m pip install --no-cache-dir --require-hashes -r /opt/oneshot-vos/requirements.txt

COPY . /opt/oneshot-vos
RUN python3 -m pip install --no-cache-dir --no-deps --no-build-isolation /opt/oneshot-vos

USER 1000
WORKDIR /data
ENTRYPOINT ["oneshot-vos"]
CMD ["--help"]
