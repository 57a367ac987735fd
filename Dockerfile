# vsr in a container. Without a card, CPU_INDEX being PyTorch's index of CPU builds (its install
# page names it; on ARM the ordinary index has them, and none is needed):
#     docker build -t vsr --build-arg CPU_INDEX=... .
# For NVIDIA cards:
#     docker build -t vsr --build-arg TORCH=cuda .
# Then, as often as you like:
#     docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" vsr upscale in.mp4
FROM python:3.13-slim AS build

ARG TORCH=cpu
ARG CPU_INDEX=
ARG EXTRAS=

WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY vsr ./vsr
COPY weights ./weights
COPY docker/install.sh /install.sh
RUN sh /install.sh /source /opt/vsr "${TORCH}" "${CPU_INDEX}" "${EXTRAS}"

FROM python:3.13-slim

COPY --from=build /opt/vsr /opt/vsr
# Any user may run it, so that files are made as yours: --user. Models by name are kept in /models.
RUN useradd --uid 1000 --create-home vsr && install --directory --mode 1777 /work /models
USER 1000
WORKDIR /work
# USER: PyTorch asks for a name, and an unknown number has none. "video" lets the card decode.
ENV PATH=/opt/vsr/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    USER=vsr \
    VSR_MODELS=/models \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
# What Ctrl-C is: the segment at hand is finished first. SIGTERM ends at once.
STOPSIGNAL SIGINT
ENTRYPOINT ["vsr"]
CMD ["--help"]
