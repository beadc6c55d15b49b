FROM swift:6.3-bookworm AS build
WORKDIR /source
COPY scripts scripts
RUN scripts/install-packages build
COPY Package.* ./
COPY Sources Sources
COPY Clients Clients
COPY Tests Tests
COPY Benchmarks Benchmarks
RUN scripts/build-static /sluice

FROM debian:12-slim
RUN apt-get update \
  && apt-get install --yes --no-install-recommends ca-certificates libnghttp2-14 libssl3 libstdc++6 zlib1g \
  && rm -rf /var/lib/apt/lists/* \
  && useradd --system --no-create-home --shell /usr/sbin/nologin sluice
COPY --from=build /sluice /usr/local/bin/sluice
COPY scripts/probe /usr/local/bin/sluice-probe
USER sluice
EXPOSE 8443 8080
# Wants a plain listener on port 8080. Where there is none, say --health-cmd or --no-healthcheck.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["sluice-probe"]
ENTRYPOINT ["sluice"]
CMD ["run", "--config", "/etc/sluice/sluice.yaml"]
