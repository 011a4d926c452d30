{{- define "relay-monitor.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of objects. 52 characters leave room for suffixes, and for the hash that Kubernetes adds to pods' labels. */}}
{{- define "relay-monitor.fullname" -}}
{{- $name := include "relay-monitor.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $full | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "relay-monitor.selectorLabels" -}}
app.kubernetes.io/name: {{ include "relay-monitor.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: monitor
{{- end -}}

{{- define "relay-monitor.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ include "relay-monitor.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: relay-monitor
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "relay-monitor.image" -}}
{{- $repository := required "image.repository is required: the image that you built and pushed, such as registry.example.com/relay-monitor" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* The configuration as the pods get it, as YAML: `config` or the shipped one, with the keys that the chart sets. */}}
{{- define "relay-monitor.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- if not $config -}}
{{- $config = .Files.Get "files/config.yaml" | fromYaml -}}
{{- end -}}
{{- $listen := dict "listen" (printf "%s:%d" .Values.listenAddress (int .Values.port)) -}}
{{- $_ := set $config "server" (merge $listen ($config.server | default dict)) -}}
{{- $_ := set $config "state_dir" "/var/lib/relay-monitor" -}}
{{- toYaml $config -}}
{{- end -}}

{{/* The number of shards, which is that of the pods. */}}
{{- define "relay-monitor.shards" -}}
{{- $config := include "relay-monitor.config" . | fromYaml -}}
{{- $shards := $config.shards | default 1 -}}
{{- if not (regexMatch "^[1-9][0-9]{0,3}$" (toString $shards)) -}}
{{- fail (printf "config.shards is %v; it is the number of pods, so it must be a number from 1 to 1000 here" $shards) -}}
{{- end -}}
{{- int $shards -}}
{{- end -}}

{{/* Fails unless the rules and dashboards in `generated` are those of `config`. */}}
{{- define "relay-monitor.checkGenerated" -}}
{{- $how := "run `relay-monitor generate --format chart`, and use the file that it writes as values (docs/kubernetes.md)" -}}
{{- if and .Values.config (not .Values.generated) -}}
{{- fail (printf "prometheusRule or dashboards are enabled, and there is nothing generated from `config`: %s" $how) -}}
{{- end -}}
{{- if .Values.generated -}}
{{- if not .Values.config -}}
{{- fail (printf "`generated` is given without its `config`: %s" $how) -}}
{{- end -}}
{{- $own := list "journal" "location" "server" "state_dir" -}}
{{- range $key := concat (keys .Values.config) (keys .Values.generated.config) | uniq | sortAlpha -}}
{{- if and (not (has $key $own)) (not (deepEqual (get $.Values.config $key) (get $.Values.generated.config $key))) -}}
{{- fail (printf "config.%s is not what the rules and dashboards were generated from: %s" $key $how) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What runs the program with the configuration, the same for the monitor and the check of a configuration. */}}
{{- define "relay-monitor.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.serviceAccountName }}
serviceAccountName: {{ . }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "relay-monitor.container" -}}
image: {{ include "relay-monitor.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
{{- with .Values.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - {name: config, mountPath: /etc/relay-monitor, readOnly: true}
  - {name: state, mountPath: /var/lib/relay-monitor}
  - {name: tmp, mountPath: /tmp}
  {{- range .Values.secrets }}
  - {name: {{ printf "secret-%s" .name | trunc 63 | trimSuffix "-" | replace "." "-" }}, mountPath: /run/secrets/relay-monitor/{{ .name }}, readOnly: true}
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Whole folders are mounted, without subPath, so that changed Secrets and ConfigMaps appear in a running pod. */}}
{{- define "relay-monitor.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- range .Values.secrets }}
- name: {{ printf "secret-%s" .name | trunc 63 | trimSuffix "-" | replace "." "-" }}
  secret:
    secretName: {{ .name }}
    defaultMode: 0440
    {{- with .items }}
    items:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- if .optional }}
    optional: true
    {{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
