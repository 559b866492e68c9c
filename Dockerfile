# stancekit with a model inside: runs without a network, as an ordinary user, on the CPU.
#
#   docker build -t stancekit .
#   docker run --rm -i stancekit predict input=- output=- < rows.jsonl
#   docker run --rm -v "$PWD":/data -v stancekit-runs:/home/stancekit/runs stancekit train data=file data.path=/data/mine.csv

FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
COPY configs ./configs
COPY data ./data
COPY experiments ./experiments
COPY models ./models
COPY seeds ./seeds
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim
# The package index of the PyTorch project's CPU builds: --build-arg TORCH_INDEX=…. Without it torch comes from the
# default index, whose Linux builds carry CUDA and are ten times as large.
ARG TORCH_INDEX=""
COPY requirements.lock /tmp/requirements.lock
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --constraint /tmp/requirements.lock \
      ${TORCH_INDEX:+--no-deps --index-url "$TORCH_INDEX"} torch \
    && pip install --no-cache-dir --constraint /tmp/requirements.lock "$(ls /wheels/*.whl)[html]" \
    && rm -rf /wheels /tmp/requirements.lock \
    && useradd --create-home --uid 10001 stancekit
USER 10001
WORKDIR /home/stancekit
ENV STANCEKIT_HOME=/home/stancekit/runs \
    STANCEKIT_CACHE=/home/stancekit/cache
# The encoder of the default model, so that `predict` needs nothing from outside.
RUN stancekit fetch base
ENV HF_HUB_OFFLINE=1
ENTRYPOINT ["stancekit"]
CMD ["--help"]
