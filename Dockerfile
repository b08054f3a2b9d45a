# Wearwell in a container: one image for every process; it runs as an account without rights.
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/wearwell
COPY requirements.lock ./
RUN /opt/wearwell/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY gateway ./gateway
COPY predictors ./predictors
COPY commerce ./commerce
COPY firmware_stubs ./firmware_stubs
RUN /opt/wearwell/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/wearwell wearwell
COPY --from=build /opt/wearwell /opt/wearwell
ENV PATH=/opt/wearwell/bin:$PATH PYTHONUNBUFFERED=1 WEARWELL_DATA_DIR=/var/lib/wearwell
WORKDIR /var/lib/wearwell
USER wearwell
EXPOSE 8000
ENTRYPOINT ["wearwell"]
CMD ["--help"]
