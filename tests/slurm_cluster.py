"""A Slurm of one node on this machine, by Debian's daemons, for the tests."""

import contextlib
import os
import shutil
import socket
import subprocess
import time

PROGRAMS = ('slurmctld', 'slurmd', 'sbatch', 'srun', 'scontrol', 'squeue')

# The node is called localhost, since workers find each other by its name.
_CONF = '''\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/none
CredType=cred/none
SlurmUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/linear
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SlurmdParameters=config_overrides
NodeName=localhost NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} \
CPUs=8 RealMemory=64000
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
'''


def missing():
    """Returns why there can be no cluster here, '' if there can."""
    absent = [name for name in PROGRAMS if not shutil.which(name)]
    if absent:
        return f"needs Debian's slurm-wlm: there is no {absent[0]}"
    return '' if os.geteuid() == 0 else 'needs root, for the daemons of Slurm'


@contextlib.contextmanager
def running(folder):
    """Yields the environment in which Slurm's commands find the cluster."""
    ports = []
    for _ in range(2):
        with socket.socket() as some:
            some.bind(('127.0.0.1', 0))
            ports.append(some.getsockname()[1])
    (folder / 'state').mkdir()
    (folder / 'spool').mkdir()
    host = socket.gethostname().partition('.')[0]
    conf = folder / 'slurm.conf'
    conf.write_text(_CONF.format(host=host, folder=folder, ports=ports))
    environment = {**os.environ, 'SLURM_CONF': str(conf)}
    with contextlib.ExitStack() as stack:
        for daemon in (['slurmctld', '-D'], ['slurmd', '-N', 'localhost',
                                              '-D']):
            process = stack.enter_context(subprocess.Popen(
                daemon, env=environment, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL))
            stack.callback(process.kill)
        _wait_for_node(environment)
        yield environment


def _wait_for_node(environment):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        done = subprocess.run(
            ['sinfo', '-h', '-o', '%T'], env=environment, text=True,
            capture_output=True, check=False)
        if done.stdout.strip() == 'idle':
            return
        time.sleep(0.5)
    raise AssertionError(done.stdout + done.stderr)


def wait_for(job, environment, seconds=400):
    """Waits until a job is gone from the queue, and returns its state."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        shown = subprocess.run(
            ['scontrol', 'show', 'job', job], env=environment, text=True,
            capture_output=True, check=True).stdout
        state = shown.partition('JobState=')[2].split()[0]
        if state not in ('PENDING', 'RUNNING', 'COMPLETING', 'CONFIGURING',
                         'REQUEUED', 'REQUEUE_HOLD'):
            return state
        if 'Reason=BeginTime' in shown:  # Queued again: in two minutes.
            subprocess.run(['scontrol', 'update', f'JobId={job}',
                            'StartTime=now'], env=environment, check=False)
        time.sleep(0.5)
    raise AssertionError(shown)
