/** The least that a file of `deplsr train sr` has to say. */
export const SR = `name: a
scale: 2
datasets: {train: {dataroot_gt: gt, dataroot_lq: lq}}
network_g: {type: DAT, upscale: 2}
train: {optim_g: {lr: 1e-4}, scheduler: {type: MultiStepLR, milestones: [5]}, total_iter: 9}
`;

/** A file of `deplsr train sr` as DAT's are written, spellings included. */
export const DAT_FILE = `name: tiny
model_type: DATModle
scale: 2
num_gpu: auto
manual_seed: 10
datasets:
  train:
    task: SR
    name: pairs
    type: PairedImageDataset
    dataroot_gt: gt
    dataroot_lq: lq
    filename_tmpl: '{}x2'
    io_backend:
      type: disk
    gt_size: 32
    use_hflip: True
    use_rot: True
    use_shuffle: True
    num_worker_per_gpu: 4
    batch_size_per_gpu: 2
    dataset_enlarge_ratio: 1
    prefetch_mode: ~
  val:
    task: SR
    name: Set5
    type: PairedImageDataset
    dataroot_gt: gt
    dataroot_lq: lq
    filename_tmpl: '{}x2'
    io_backend:
      type: disk
network_g:
  type: DAT
  upscale: 2
  in_chans: 3
  img_size: 16
  img_range: 1.
  split_size: [2,4]
  depth: [3]
  embed_dim: 32
  num_heads: [2]
  expansion_factor: 1.5
  resi_connection: '3conv'
  upsampler: 'pixelshuffledirect'
path:
  pretrain_network_g: ~
  param_key_g: ~
  strict_load_g: False
  resume_state: ~
train:
  ema_decay: 0.999
  optim_g:
    type: Adam
    lr: !!float 2e-4
    weight_decay: 0
    betas: [0.9, 0.99]
  scheduler:
    type: MultiStepLR
    milestones: [20, 40]
    gamma: 0.5
  total_iter: 60
  warmup_iter: -1  # none
  pixel_opt:
    type: L1Loss
    loss_weight: 1.0
    reduction: mean
val:
  val_freq: !!float 30
  save_img: False
  metrics:
    psnr:
      type: calculate_psnr
      crop_border: 2
      test_y_channel: True
logger:
  print_freq: 10
  save_checkpoint_freq: !!float 2e1
  use_tb_logger: true
  wandb:
    project: ~
    resume_id: ~
dist_params:
  backend: nccl
  port: 29500
`;
