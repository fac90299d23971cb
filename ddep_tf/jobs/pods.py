"""What Kubernetes Jobs and JobSets share: names, the pod, YAML. No TF."""

from collections.abc import Sequence
import hashlib
import re
from typing import Any

import yaml

from ddep_tf.jobs import resources as resources_lib

USES = {'cpus', 'memory_gb', 'gpus', 'retries', 'grace_seconds', 'workdir',
        'image', 'claim', 'mount', 'tpu_accelerator', 'tpu_topology'}
WORKER_LOST = 75  # cli.WORKER_LOST.
_DNS = re.compile(r'[a-z]([a-z0-9-]*[a-z0-9])?')
# A pod of a JobSet, NAME-classify-0000-000-abcde, may have 63 characters.
_LONGEST = 38


class _Dumper(yaml.SafeDumper):
    """Writes a text of several lines as a readable block."""


def _represent(dumper, text):
    return dumper.represent_scalar('tag:yaml.org,2002:str', text,
                                   style='|' if '\n' in text else None)


_Dumper.add_representer(str, _represent)


def dns_name(name: str) -> str:
    """Returns a DNS-1035 label for an experiment, of at most 38 characters.

    A name that is a valid label is kept. Any other gets a hash of the name, so
    that two experiments never share their objects.
    """
    if _DNS.fullmatch(name) and len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    plain = re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')
    if not plain[:1].isalpha():
        plain = f'ddep-{plain}'
    return f'{plain[:_LONGEST - 9].strip("-")}-{digest}'


def to_yaml(head: Sequence[str], document: dict[str, Any]) -> str:
    """Returns YAML text below comment lines."""
    comment = ''.join(f'# {line}\n' for line in head)
    return comment + yaml.dump(document, Dumper=_Dumper, sort_keys=False,
                               width=1000)


def pod(script: str, command: Sequence[str],
        resources: resources_lib.Resources,
        env: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """Returns the spec of a pod that runs a bash script on a command.

    Args:
      script: for bash; "$@" is the command in it.
      command: whatever its words hold, they arrive unchanged.
      resources: of the pod.
      env: further environment variables.
    """
    # Kubernetes would expand $(NAME), and reads $$ as one $.
    words = [re.sub(r'\$(?=[$(])', '$$', word) for word in
             ['bash', '-c', script, 'bash', *command]]
    container: dict[str, Any] = {
        'name': 'run', 'image': resources.image, 'command': words}
    if resources.workdir:
        container['workingDir'] = resources.workdir
    if env:
        container['env'] = list(env)
    container['resources'] = _requests(resources)
    spec: dict[str, Any] = {
        'restartPolicy': 'Never',
        'terminationGracePeriodSeconds': resources.grace_seconds}
    if resources.tpu_accelerator:
        spec['nodeSelector'] = {
            'cloud.google.com/gke-tpu-accelerator': resources.tpu_accelerator,
            'cloud.google.com/gke-tpu-topology': resources.tpu_topology}
    if not resources.claim:  # Data and runs lie in a bucket.
        return {**spec, 'containers': [container]}
    container['volumeMounts'] = [{'name': 'shared',
                                  'mountPath': resources.mount}]
    return {**spec, 'containers': [container], 'volumes': [
        {'name': 'shared',
         'persistentVolumeClaim': {'claimName': resources.claim}}]}


def _requests(resources):
    devices = {}
    if resources.gpus:
        devices['nvidia.com/gpu'] = resources.gpus
    if resources.tpu_chips:
        devices['google.com/tpu'] = resources.tpu_chips
    memory = {'memory': f'{resources.memory_gb}Gi'}
    return {'requests': {'cpu': resources.cpus, **memory, **devices},
            'limits': {**memory, **devices}}


def on_exit_codes(action: str, *codes: int) -> dict[str, Any]:
    """Returns a podFailurePolicy's rule for these exit codes."""
    return {'action': action, 'onExitCodes': {
        'containerName': 'run', 'operator': 'In', 'values': sorted(codes)}}


# A node that is drained or preempted does not mean that the run failed.
DISRUPTED = {'action': 'Ignore',
             'onPodConditions': [{'type': 'DisruptionTarget',
                                  'status': 'True'}]}
