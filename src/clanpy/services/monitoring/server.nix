{
  settings,
  host,
  targets,
  usersFile,
  adminFile,
  secretFile,
  ...
}:
{ config, lib, ... }:
let
  port = {
    prometheus = 9090;
    loki = 3100;
  };
  local = number: "http://127.0.0.1:${toString number}";
in
{
  services.prometheus = {
    enable = true;
    listenAddress = "127.0.0.1";
    port = port.prometheus;
    retentionTime = settings.retention;
    globalConfig.scrape_interval = settings.scrape_interval;
    scrapeConfigs = [
      {
        job_name = "node";
        static_configs = targets;
      }
    ];
  };

  services.loki = lib.mkIf settings.logs {
    enable = true;
    configuration = {
      auth_enabled = false;
      analytics.reporting_enabled = false;
      server = {
        http_listen_address = "127.0.0.1";
        http_listen_port = port.loki;
        grpc_listen_address = "127.0.0.1";
      };
      common = {
        path_prefix = "/var/lib/loki";
        replication_factor = 1;
        instance_addr = "127.0.0.1";
        ring.kvstore.store = "inmemory";
        storage.filesystem = {
          chunks_directory = "/var/lib/loki/chunks";
          rules_directory = "/var/lib/loki/rules";
        };
      };
      schema_config.configs = [
        {
          from = "2024-04-01";
          store = "tsdb";
          object_store = "filesystem";
          schema = "v13";
          index = {
            prefix = "index_";
            period = "24h";
          };
        }
      ];
    };
  };

  services.grafana = lib.mkIf settings.grafana.enable {
    enable = true;
    settings = {
      analytics.reporting_enabled = false;
      server = {
        domain = host;
        http_addr = "127.0.0.1";
        http_port = settings.grafana.port;
      };
      security = {
        admin_user = "admin";
        admin_password = "$__file{/run/credentials/grafana.service/admin}";
        secret_key = "$__file{/run/credentials/grafana.service/secret}";
      };
    };
    provision = {
      enable = true;
      datasources.settings.datasources = [
        {
          name = "Prometheus";
          type = "prometheus";
          url = local port.prometheus;
          isDefault = true;
        }
      ]
      ++ lib.optional settings.logs {
        name = "Loki";
        type = "loki";
        url = local port.loki;
      };
    };
  };

  services.nginx = {
    enable = true;
    virtualHosts.${host} = {
      forceSSL = lib.mkIf settings.use_ssl true;
      locations = lib.optionalAttrs settings.grafana.enable {
        "/" = {
          proxyPass = local settings.grafana.port;
          proxyWebsockets = true;
          recommendedProxySettings = true;
        };
      }
      // lib.optionalAttrs settings.logs {
        "/loki/" = {
          proxyPass = local port.loki;
          basicAuthFile = "/run/credentials/nginx.service/loki";
        };
      };
    };
  };

  # The daemons run under accounts of their own: systemd hands each of them its secrets.
  systemd.services.grafana.serviceConfig.LoadCredential = lib.mkIf settings.grafana.enable [
    "admin:${adminFile}"
    "secret:${secretFile}"
  ];
  systemd.services.nginx.serviceConfig.LoadCredential = lib.mkIf settings.logs [ "loki:${usersFile}" ];

  networking.firewall.allowedTCPPorts = [ (if settings.use_ssl then 443 else 80) ];
}
